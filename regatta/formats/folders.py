"""Listing the image files below a folder, the same on every machine."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from regatta.errors import RegattaError
from regatta.formats.pictures import SUFFIXES
from regatta.names import Names


def list_images(raw: Path, place: str) -> tuple[Names, list[str]]:
    """Image files below *raw*/*place* by their names, and all other files: as paths from *raw*, in order.

    Hidden files and folders are left out.

    Raises:
        RegattaError: there is no such folder.
    """
    folder = raw / place
    if not folder.is_dir():
        raise RegattaError(f"{folder}: no such folder; the card's splits name it")
    inside = f"{PurePosixPath(place)}/" if depth(place) else ""
    ignored: list[str] = []
    return Names(_images(folder, inside, ignored)), ignored


def _images(folder: Path, inside: str, ignored: list[str]) -> Iterator[str]:
    """Those of *folder*; what is none is added to *ignored*."""
    for name in _files(folder, inside):
        if _suffix(name) in SUFFIXES:
            yield name
        else:
            ignored.append(name)


def depth(place: str) -> int:
    """How many folders *place* names: so many parts of a listed name lead to it."""
    return len(PurePosixPath(place).parts)


def _files(folder: Path | str, inside: str) -> Iterator[str]:
    """Every file below *folder*, which is called *inside*, each folder's in order."""
    # One folder's names at a time, and plain strings: data sets have a million files.
    names: list[str] = []
    folders: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.add(entry.name)
            if not entry.name.startswith(".") and (entry.name in folders or entry.is_file()):
                names.append(entry.name)
    names.sort()
    for name in names:
        if name in folders:
            yield from _files(f"{folder}/{name}", f"{inside}{name}/")
        else:
            yield f"{inside}{name}"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path costs ten times as much)
