"""`python -m tasks.track PROBLEM`: what its runs left, into MLflow; the receipt in tracked/PROBLEM.json."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regatta.errors import RegattaError, nearest, one_line_errors
from regatta.manifest import verify
from regatta.settings.addresses import tracking_uri
from regatta.settings.course import Course, Run, read_course
from regatta.settings.home import home
from regatta.settings.outputs import TRACKED, outputs_of
from regatta.whole import whole_file
from tasks.argument import only_argument


def track(problem: str) -> None:
    """Sync every run of *problem* that params.yaml lists.

    Raises:
        RegattaError: no such problem, a run's files are missing or damaged, or MLflow is not there.
    """
    from regatta.tracking.receipt import links, receipt
    from regatta.tracking.record import read_records

    course = read_course()
    runs = _runs(course, problem)
    print(f"trained: {verify(*(outputs_of(run.name, run.problem).trained for run in runs))}", flush=True)
    records = read_records(runs)
    for record in records:
        if record.journal.torn:
            print(f"{record.outputs.journals}/journal.jsonl: the last line is torn and left out", flush=True)

    from regatta.tracking.sync import sync  # MLflow: two seconds, for those who get this far

    synced = sync(problem, records, course.datasets, tracking_uri())
    _write(home() / "links" / f"{problem}.json", links(synced.experiment_id, synced.run_ids))
    _write(TRACKED / f"{problem}.json", receipt(records))
    points = sum(len(record.journal.points) for record in records)
    print(f"{problem}: {len(records)} runs with {points} points are in MLflow", flush=True)


def _runs(course: Course, problem: str) -> list[Run]:
    runs = [run for run in course.runs.values() if run.problem == problem]
    if not runs:
        hint = nearest(problem, course.problems)
        raise RegattaError(f"params.yaml: no run is about '{problem}': {hint}")
    return runs


def _write(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Track the problem named in *argv*."""
    with one_line_errors():
        track(only_argument(argv, "python -m tasks.track PROBLEM"))


if __name__ == "__main__":
    main()
