"""A user's own folders, copied into data/raw/D so that what was trained on is kept."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from regatta.errors import RegattaError
from regatta.formats.folders import list_images
from regatta.settings.card import Card
from regatta.settings.home import project


def own_files(card: Card) -> list[Path]:
    """Image files below the card's `path` that its splits name, relative to it, in order.

    Raises:
        RegattaError: the folder, or one that a split names, is not there.
    """
    root = own_folder(card)
    found = {name for place in _places(card) for name in list_images(root, place)[0]}
    return sorted(map(Path, found))


def own_folder(card: Card) -> Path:
    """The card's `path`, from the project's folder, with `~` for the home folder.

    Raises:
        RegattaError: there is no such folder.
    """
    assert card.path
    root = project() / os.path.expanduser(card.path)  # noqa: PTH111 (a Path's raises where nobody has that name)
    if not root.is_dir():
        raise RegattaError(f"datasets/{card.name}.yaml: path: no such folder: {root}")
    return root


def copy_own(card: Card, files: list[Path], folder: Path, advance: Callable[[int], None]) -> None:
    """Copy *files* of the card's `path` into *folder*; links are copied as what they lead to."""
    root = own_folder(card)
    for place in _places(card):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, folder / path)
        advance(1)


def _places(card: Card) -> Iterator[str]:
    """Folders that the card's splits name."""
    for source in card.splits.values():
        yield from (place for place in (source.folder, source.images, source.masks) if place)
