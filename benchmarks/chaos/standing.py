"""Where training stands, read from what lies on disk at that moment."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.project import PROBLEM, RUN

IN_FLIGHT, SET_ASIDE = ".regatta/runs/[!.]*", ".regatta/finished/[!.]*"


@dataclass(frozen=True)
class Standing:
    """What the journal tells, and what going on from here would begin with."""

    step: int | None
    """The last step that the journal tells of; None where training is not touched."""
    resumes_from: int
    """The step that the same command would go on from."""
    lost_s: float
    """Seconds between the journal's lines of these two steps: training that has to be done again."""


def read_standing(project: Path) -> Standing:
    """Where *project*'s run stands."""
    journals = [*project.glob(f"{IN_FLIGHT}/journal.jsonl")]
    if not journals and _is_published(project) and not is_written_down(project):
        # DVC would make them again.
        journals = [project / "journals" / PROBLEM / RUN / "journal.jsonl"]
    times = journal_times(journals)
    if not times:
        return Standing(None, 0, 0.0)
    step, from_step = max(times), _resumes_from(project, max(times))
    return Standing(step, from_step, max(times[step] - times.get(from_step, min(times.values())), 0.0))


def _is_published(project: Path) -> bool:
    return (project / "trained" / RUN / "run.json").exists()


def is_written_down(project: Path) -> bool:
    """Whether DVC knows the run's outputs."""
    lock = project / "dvc.lock"
    return lock.exists() and f"train@{RUN}" in lock.read_text()


def _resumes_from(project: Path, step: int) -> int:
    """The newest checkpoint that is there under its own name; *step* where only publishing is left to do."""
    if any(any(project.glob(f"{place}/outcome.json")) for place in (IN_FLIGHT, SET_ASIDE)):
        return step
    kept = [int(path.name.split("-")[0]) for path in project.glob(f"{IN_FLIGHT}/checkpoints/[0-9]*")]
    return max(kept, default=0)


def journal_times(journals: list[Path]) -> dict[int, float]:
    """When each step was told of; a torn line counts for nothing."""
    times: dict[int, float] = {}
    for line in (line for journal in journals for line in _lines(journal)):
        with suppress(ValueError):
            point = json.loads(line)
            times.setdefault(point["step"], point["time_s"])
    return times


def last_step(project: Path, since_s: float = 0.0) -> int:
    """The last step that the journal tells of, if it was written to since; 0 where there is none."""
    step = 0
    for journal in project.glob(f"{IN_FLIGHT}/journal.jsonl"):
        for line in _lines(journal, from_end=2000, since_s=since_s):
            with suppress(ValueError):
                step = json.loads(line)["step"]
    return step


def _lines(path: Path, from_end: int = 2**40, since_s: float = 0.0) -> list[bytes]:
    """Whole and torn lines; none of a file that was not written to since."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if os.fstat(file.fileno()).st_mtime < since_s:
            return []
        size = file.seek(0, 2)
        file.seek(max(size - from_end, 0))
        return file.read().splitlines()
    return []
