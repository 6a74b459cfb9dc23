"""Listing the image files below a folder, the same on every machine."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from regatta.errors import RegattaError
from regatta.formats.pictures import SUFFIXES
from regatta.names import Names


def list_images(raw: Path, place: str) -> tuple[Names, list[str]]:
    """Image files below *raw*/*place* by their names, and all other files: as paths from *raw*, in order.

    Hidden files and folders are left out; links are followed.

    Raises:
        RegattaError: there is no such folder, or a link leads back to one that it lies in.
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


def _files(folder: Path | str, inside: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every file below *folder*, which is called *inside*, each folder's in order.

    *above* are the folders, by their real names, in which links were followed to get there.
    """
    # One folder's names at a time, and plain strings: data sets have a million files.
    names: list[str] = []
    folders: set[str] = set()
    links: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                folders.add(entry.name)
                if entry.is_symlink():
                    links.add(entry.name)
            if not entry.name.startswith(".") and (entry.name in folders or entry.is_file()):
                names.append(entry.name)
    names.sort()
    for name in names:
        if name in folders:
            path = f"{folder}/{name}"
            yield from _files(path, f"{inside}{name}/", _followed(path, above) if name in links else above)
        else:
            yield f"{inside}{name}"


def _followed(link: str, above: tuple[str, ...]) -> tuple[str, ...]:
    """*above*, and the folder that the *link* to another one lies in."""
    above = (*above, os.path.dirname(os.path.abspath(link)))  # noqa: PTH100, PTH120 (see regatta.verified.File)
    target = os.path.realpath(link)
    for folder in map(os.path.realpath, above):
        if os.path.commonpath([folder, target]) == target:
            raise RegattaError(f"{link}: leads back to a folder that it lies in; remove the link")
    return above


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path costs ten times as much)
