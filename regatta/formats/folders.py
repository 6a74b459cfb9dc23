"""Listing the image files below a folder, the same on every machine."""

from pathlib import Path

from regatta.errors import RegattaError
from regatta.formats.pictures import SUFFIXES


def list_images(raw: Path, place: str) -> tuple[list[Path], list[str]]:
    """Image files below *raw*/*place* by their names, in order; and the names of all other files.

    Hidden files and folders are left out.

    Raises:
        RegattaError: there is no such folder.
    """
    folder = raw / place
    if not folder.is_dir():
        raise RegattaError(f"{folder}: no such folder; the card's splits name it")
    files = [path for path in folder.rglob("*") if path.is_file() and not is_hidden(path, folder)]
    files.sort(key=lambda path: path.relative_to(folder).parts)
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    ignored = [path.relative_to(raw).as_posix() for path in files if path.suffix.lower() not in SUFFIXES]
    return images, ignored


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a part of the path below *folder* begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
