"""Outputs that are there whole or not at all."""

import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal


@contextmanager
def named(place: Path) -> Generator[None, None, None]:
    """Let an OSError that does not say where it happened say *place*: one of a full disk never does."""
    try:
        yield
    except OSError as fault:
        if fault.errno and fault.filename is None:
            fault.filename = str(place)
        raise


def beside(target: Path, what: Literal["partial", "former"] = "partial") -> Path:
    """Where this process writes what is to be *target*, or puts what *target* was."""
    return target.with_name(f".{target.name}.{what}-{os.getpid()}")


@contextmanager
def whole_folder(target: Path) -> Generator[Path, None, None]:
    """A new folder beside *target* to write into; it takes *target*'s place when the block ends well.

    When the block raises, what was written is removed and *target* stays as it was. What a killed
    process left beside *target* is removed by the next one.

    Raises:
        OSError: it cannot be written; named after *target* where the system names nothing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, re.escape(target.name))
    partial = beside(target)
    partial.mkdir()
    try:
        with named(target):
            yield partial
        _take_the_place(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _take_the_place(target: Path, partial: Path) -> None:
    former = beside(target, "former")
    if target.exists():
        target.rename(former)
    partial.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def sweep(folder: Path, name: str = ".+") -> None:
    """Remove what killed processes left in *folder* of outputs whose names match *name*.

    What was killed between the two renames of `_take_the_place` gets its former content back.
    """
    leftover = re.compile(rf"\.({name})\.(partial|former)-(\d+)")
    for path in folder.iterdir():
        match = leftover.fullmatch(path.name)
        if match and not _runs(int(match[3])):
            target = folder / match[1]
            if match[2] == "former" and not target.exists():
                path.rename(target)
            else:
                path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


def _runs(process_id: int) -> bool:
    """Whether a process other than this one has this id."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process_id != os.getpid()


@contextmanager
def whole_file(target: Path) -> Generator[Path, None, None]:
    """A path beside *target* to write a file at; it takes *target*'s place when the block ends well.

    Raises:
        OSError: it cannot be written; named after *target* where the system names nothing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, re.escape(target.name))
    partial = beside(target)
    try:
        with named(target):
            yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
