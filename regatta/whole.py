"""Outputs that are there whole or not at all."""

import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Generator[Path, None, None]:
    """A new folder beside *target* to write into; it takes *target*'s place when the block ends well.

    When the block raises, what was written is removed and *target* stays as it was. What a killed
    process left beside *target* is removed by the next one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        _take_the_place(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _take_the_place(target: Path, partial: Path) -> None:
    former = target.with_name(f".{target.name}.former-{os.getpid()}")
    if target.exists():
        target.rename(former)
    partial.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def _sweep(target: Path) -> None:
    leftover = re.compile(rf"\.{re.escape(target.name)}\.(partial|former)-(\d+)")
    for path in target.parent.iterdir():
        match = leftover.fullmatch(path.name)
        if match and not _runs(int(match[2])):
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
    """A path beside *target* to write a file at; it takes *target*'s place when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
