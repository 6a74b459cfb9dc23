"""Kill trials: `python -m benchmarks.chaos --trials 200`, or one again: `--seed 7 --only 23`."""

import argparse
import datetime
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import yaml

from benchmarks.chaos import record
from benchmarks.chaos.draw import Trial, draw
from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.project import HERE, Course, make_course
from benchmarks.chaos.trial import Result, run_trial
from benchmarks.measuring import hardware


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, run, print a line for each trial, and write the record. Exit code 1 when a promise was broken."""
    options = _parser().parse_args(argv)
    print(f"seed {options.seed}: the same seed draws the same trials", flush=True)
    trials = [draw(options.seed, number, KINDS) for number in options.only or range(1, options.trials + 1)]
    trials = [trial for trial in trials if options.kind in trial.kinds[-1].name]
    folder = Path(tempfile.mkdtemp(prefix="regatta-chaos-"))
    courses = _courses(trials, folder)
    rows: list[dict[str, object]] = []
    with ThreadPoolExecutor(options.jobs) as threads:
        for result in threads.map(partial(_run, courses=courses, folder=folder, options=options), trials):
            rows.append(record.row(result, options.seed, _interval_s()))
    if not options.only and not options.kind:
        _write(rows, options.seed)
    broken = any(row["faults"] for row in rows)
    if not (broken or options.keep):
        shutil.rmtree(folder)
    sys.exit(broken)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="how many (20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="(drawn, and printed)")
    parser.add_argument("--only", type=int, nargs="+", metavar="TRIAL", help="these numbers alone")
    parser.add_argument("--kind", default="", help="only trials whose kind has this in its name")
    parser.add_argument("--keep", action="store_true", help="leave the trials' folders, clean ones too")
    parser.add_argument("--jobs", type=int, default=max((os.cpu_count() or 2), 1), help="at the same time")
    return parser


def _courses(trials: Sequence[Trial], folder: Path) -> dict[int, Course]:
    """An uninterrupted course for each number of workers that is needed."""
    numbers = sorted({trial.kinds[-1].workers for trial in trials})
    return {workers: make_course(folder / f"course-{workers}", workers) for workers in numbers}


def _run(trial: Trial, courses: dict[int, Course], folder: Path, options: argparse.Namespace) -> Result:
    place = folder / f"trial-{trial.number}"
    result = run_trial(trial, courses[trial.kinds[-1].workers], place, options.seed)
    if result.verdict.is_clean and not options.keep:
        shutil.rmtree(place)
    outcome = "; ".join(result.verdict.faults) + f" (see {place})" if result.verdict.faults else "the same"
    kind, moment = trial.kinds[-1].name, trial.moments[-1]
    print(f"{trial.number:4} {kind:28} {moment}: {outcome}, {result.seconds:.0f} s", flush=True)
    return result


def _interval_s() -> float:
    return yaml.safe_load((HERE / "course/params.yaml").read_text())["defaults"]["checkpoint_every_s"]


def _write(rows: Sequence[dict[str, object]], seed: int) -> None:
    today = datetime.date.today().isoformat()
    path = Path("benchmarks") / f"chaos_{hardware()}_{today}"
    head = (
        f"# Kill trials\n\n{today}, {hardware()}, {record.versions()}. Made by "
        f"`make chaos TRIALS={len(rows)} SEED={seed}`; every trial is a line of `{path.name}.csv`."
    )
    record.write_table(path.with_suffix(".csv"), rows)
    path.with_suffix(".md").write_text(record.page(rows, KINDS, head))
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
