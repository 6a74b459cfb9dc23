"""Files of earlier stages into values; what is missing or broken names the stage that makes it."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from regatta.errors import RegattaError

Value = TypeVar("Value")


def read_json(path: Path, kind: type[Value], stage: str) -> Value:
    """The JSON file *path* as a *kind*.

    Raises:
        RegattaError: it is missing, or something else.
    """
    try:
        return TypeAdapter(kind).validate_json(_read_bytes(path, stage))
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise broken(path, f"{place}: {first['msg']}" if place else first["msg"], stage) from None


def read_csv(path: Path, columns: tuple[str, ...], make: Callable[..., Value], stage: str) -> list[Value]:
    """What *make* makes of each row's *columns*, given as strings; a ValueError of it is the row's fault.

    Raises:
        RegattaError: the file, a column or a sensible value is missing.
    """
    try:
        text = _read_bytes(path, stage).decode("utf-8")
    except UnicodeDecodeError as fault:
        raise broken(path, f"not UTF-8 ({fault})", stage) from None
    rows = csv.DictReader(io.StringIO(text, newline=""), restval="")
    missing = [column for column in columns if column not in (rows.fieldnames or ())]
    if missing:
        raise broken(path, f"column '{missing[0]}' is missing", stage)
    made: list[Value] = []
    for row in rows:
        try:
            made.append(make(*(row[column] for column in columns)))
        except ValueError as fault:
            raise broken(path, f"line {rows.line_num}: {fault}", stage) from None
    return made


def number(text: str) -> float:
    """Writers leave a cell empty where there is no number."""
    return float(text) if text else float("nan")


def _read_bytes(path: Path, stage: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RegattaError(f"{path}: not there yet; run 'dvc repro {stage}'") from None


def broken(path: Path, reason: str, stage: str) -> RegattaError:
    """The fault to raise about a file that is there but of no use."""
    return RegattaError(f"{path}: {reason}; make it again with 'dvc repro --force {stage}'")
