"""What a trial left, held against what the uninterrupted course left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos.attempt import Blow
from benchmarks.chaos.remains import Remains


@dataclass(frozen=True)
class Verdict:
    """Counts of what must not be; all 0 where the promise is kept."""

    lost: int | None
    """Points that the uninterrupted history has and this one does not; None where MLflow had no part."""
    duplicated: int | None
    differing: int
    """Outputs whose digest is another, or that are missing, and entries of dvc.lock that are not the same."""
    orphans: int
    stale: int
    faults: tuple[str, ...]
    """The same in words, and whatever else is wrong."""

    @property
    def is_clean(self) -> bool:
        return not self.faults


def judged(found: Remains, expected: Remains, blows: Sequence[Blow], code: int) -> Verdict:
    """The verdict on what was *found* after the last command ended with *code*."""
    differences = _differences(found.stages, expected.stages)
    is_tracked = any(name.startswith("track@") for name in found.stages)
    lost, duplicated = expected.points - found.points, found.points - expected.points
    orphans = sum(blow.orphans for blow in blows)
    faults = [
        *("the moment did not come" for blow in blows if not blow.killed),
        *([f"the same command again ends with exit code {code}"] if code else []),
        *differences,
        *([f"{orphans} processes left behind"] if orphans else []),
        *found.stale,
        *(f"unfinished: {path}" for path in found.unfinished),
    ]
    if is_tracked:
        faults += _history_faults(found, lost.total(), duplicated.total())
    return Verdict(
        lost=lost.total() if is_tracked else None,
        duplicated=duplicated.total() if is_tracked else None,
        differing=len(differences),
        orphans=orphans,
        stale=len(found.stale),
        faults=tuple(faults),
    )


def _differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Stages of the trial that are not as the uninterrupted course has them, one line each."""
    differing = [name for name, stage in found.items() if stage != expected.get(name)]
    return [f"dvc.lock: {name} is not the same" for name in differing]


def _history_faults(found: Remains, lost: int, duplicated: int) -> list[str]:
    faults = [f"{lost} points lost"] if lost else []
    faults += [f"{duplicated} points too many"] if duplicated else []
    if found.statuses != ("FINISHED",):
        faults.append(f"MLflow's runs are {found.statuses}")
    return faults
