"""Listing the image files below a folder, the same on every machine."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from regatta.errors import RegattaError
from regatta.formats.pictures import SUFFIXES


def list_images(raw: Path, place: str) -> tuple[list[str], list[str]]:
    """Image files below *raw*/*place* by their names, and all other files: as paths from *raw*, in order.

    Hidden files and folders are left out.

    Raises:
        RegattaError: there is no such folder.
    """
    folder = raw / place
    if not folder.is_dir():
        raise RegattaError(f"{folder}: no such folder; the card's splits name it")
    inside = f"{PurePosixPath(place)}/" if depth(place) else ""
    images: list[str] = []
    ignored: list[str] = []
    for name in sorted(_files(folder, inside), key=_in_folders):
        (images if _suffix(name) in SUFFIXES else ignored).append(name)
    return images, ignored


def depth(place: str) -> int:
    """How many folders *place* names: so many parts of a listed name lead to it."""
    return len(PurePosixPath(place).parts)


def _files(folder: Path | str, inside: str) -> Iterator[str]:
    """Every file below *folder*, which is called *inside*. Plain strings: data sets have a million files."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{inside}{entry.name}/")
            elif entry.is_file():
                yield f"{inside}{entry.name}"


def _in_folders(name: str) -> str:
    """Sorts as the list of the name's parts does: no name holds a character that comes before this one."""
    return name.replace("/", "\0")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path costs ten times as much)
