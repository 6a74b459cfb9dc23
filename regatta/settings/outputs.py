"""Where the steps put what they hand to each other, from the project's folder: the paths of dvc.yaml."""

from dataclasses import dataclass
from pathlib import Path

CHECKED = Path("checked")
RAW, PACKED = Path("data/raw"), Path("data/packed")
"""Of each data set."""
REPORT, TRACKED = Path("report"), Path("tracked")
"""Of each problem."""


@dataclass(frozen=True)
class RunOutputs:
    """Of one run: folders, but for `costs`, which is a file."""

    trained: Path
    journals: Path
    results: Path
    costs: Path


def outputs_of(run: str, problem: str, root: Path = Path()) -> RunOutputs:
    """Those of the run of this name, which is about *problem*."""
    return RunOutputs(
        trained=root / "trained" / run,
        journals=root / "journals" / problem / run,
        results=root / "results" / problem / run,
        costs=root / "costs" / problem / f"{run}.json",
    )
