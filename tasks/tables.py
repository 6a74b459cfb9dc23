"""A run's counts as tables that DVC plots and people open: confusion.csv and per_class.csv."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from regatta.problems.counts import Counts
from regatta.problems.problem import Problem


def write_tables(folder: Path, counts: Counts, problem: Problem, classes: Sequence[str]) -> None:
    """Write both tables into *folder*; one row for each pair of classes, or class and score."""
    matrix = counts.confusion.tolist()
    _write(
        folder / "confusion.csv",
        ("actual", "predicted", "count"),
        ((classes[a], classes[p], matrix[a][p]) for a in range(len(classes)) for p in range(len(classes))),
    )
    _write(
        folder / "per_class.csv",
        ("class", "score", "value", "support"),
        (
            (name, score, repr(value), of_class.support)
            for name, of_class in zip(classes, problem.per_class(counts), strict=True)
            for score, value in of_class.scores.items()
        ),
    )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
