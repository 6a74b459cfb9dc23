"""A run's journal as MLflow needs it: one point for each metric and step."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from regatta.errors import RegattaError


class Point(BaseModel):
    """One line of journal.jsonl. `value` may be NaN or infinite: a run that diverged has a history too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    epoch: int
    metric: str
    value: float
    time_s: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Journal:
    """A run's history."""

    points: tuple[Point, ...]
    torn: bool
    """The last line was cut off in writing, and is left out."""


def read_journal(path: Path) -> Journal:
    """The history that *path* holds.

    Of several lines for one metric and step the last counts: a run that was killed and resumed may
    have written a step twice.

    Raises:
        RegattaError: there is no journal, or a line before the last cannot be read.
    """
    try:
        *lines, tail = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise RegattaError(f"{path}: no journal; run 'dvc repro train@{path.parent.name}'") from None
    points = [_read_line(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    last = _parse(tail)
    whole = [*points, last] if last else points
    latest = {(point.metric, point.step): point for point in whole}
    return Journal(tuple(latest.values()), torn=bool(tail.strip()) and last is None)


def _read_line(path: Path, number: int, line: bytes) -> Point:
    point = _parse(line)
    if point is None:
        found = line[:60].decode(errors="replace")
        raise RegattaError(
            f"{path}:{number}: not a point of a journal: {found!r}; "
            f"run 'dvc checkout journals' or 'dvc repro --force train@{path.parent.name}'"
        )
    return point


def _parse(line: bytes) -> Point | None:
    try:
        return Point.model_validate_json(line)
    except ValidationError:
        return None
