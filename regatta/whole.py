"""Outputs that are there whole or not at all."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Generator[Path, None, None]:
    """A new folder beside *target* to write into; it takes *target*'s place when the block ends well.

    When the block raises, what was written is removed and *target* stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _fresh(target, "partial")
    partial.mkdir()
    try:
        yield partial
        _take_the_place(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _take_the_place(target: Path, partial: Path) -> None:
    former = _fresh(target, "former")
    if target.exists():
        target.rename(former)
    partial.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def _fresh(target: Path, word: str) -> Path:
    """A name beside *target* that belongs to this process; leftovers of a dead namesake are removed."""
    path = target.with_name(f".{target.name}.{word}-{os.getpid()}")
    shutil.rmtree(path, ignore_errors=True)
    return path


@contextmanager
def whole_file(target: Path) -> Generator[Path, None, None]:
    """A path beside *target* to write a file at; it takes *target*'s place when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
