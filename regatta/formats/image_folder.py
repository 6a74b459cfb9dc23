"""`image-folder`: one folder per class, images anywhere below it."""

from pathlib import Path

import numpy as np

from regatta.errors import RegattaError, nearest
from regatta.formats.folders import list_images
from regatta.formats.pictures import read_image
from regatta.formats.source import Pixels, Source
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource


def open_image_folder(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """Images below the split's folder; the card's classes are the names of the folders in it.

    Raises:
        RegattaError: the folder is missing, has a class that the card does not know, or in
            training none of a class that it does.
    """
    assert place.folder
    folder = raw / place.folder
    paths, ignored = list_images(raw, place.folder)
    inside = [path for path in paths if path.parent != folder]
    loose = [path.relative_to(raw).as_posix() for path in paths if path.parent == folder]
    classes = [path.relative_to(folder).parts[0] for path in inside]
    _check_classes(folder, card, set(classes), split)
    names = tuple(path.relative_to(raw).as_posix() for path in inside)
    labels = np.array([card.classes.index(name) for name in classes], np.int64)
    return Source(
        names, labels, lambda at: Pixels(read_image(inside[at], card.image.channels)), (*ignored, *loose)
    )


def _check_classes(folder: Path, card: Card, found: set[str], split: SplitName) -> None:
    folders = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    for name in sorted(folders | found):
        if name not in card.classes:
            hint = nearest(name, card.classes)
            raise RegattaError(f"{folder / name}: not among the classes of datasets/{card.name}.yaml; {hint}")
    for name in card.classes:
        if split == "train" and name not in found:
            state = "has no images" if name in folders else "is missing"
            raise RegattaError(
                f"{folder / name}: the folder of class '{name}' {state}; "
                f"add images or take the class out of datasets/{card.name}.yaml"
            )
