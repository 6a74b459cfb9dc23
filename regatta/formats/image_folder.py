"""`image-folder`: one folder per class, images anywhere below it."""

from pathlib import Path

import numpy as np

from regatta.errors import RegattaError, nearest
from regatta.formats.folders import depth, list_images
from regatta.formats.pictures import read_image
from regatta.formats.source import Pixels, Source
from regatta.names import Names
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource


def open_image_folder(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """Images below the split's folder; the card's classes are the names of the folders in it.

    Raises:
        RegattaError: the folder is missing, has a class that the card does not know, or in
            training none of a class that it does.
    """
    assert place.folder
    images, ignored = list_images(raw, place.folder)
    above = depth(place.folder)
    names = Names(name for name in images if name.count("/") > above)
    loose = [name for name in images if name.count("/") == above]
    _check_classes(raw / place.folder, card, {_class(name, above) for name in names}, split)
    label_by_class = {name: label for label, name in enumerate(card.classes)}
    labels = np.fromiter((label_by_class[_class(name, above)] for name in names), np.int64, len(names))

    def read(at: int) -> Pixels:
        return Pixels(read_image(f"{raw}/{names[at]}", card.image.channels))

    return Source(names, labels, read, (*ignored, *loose))


def _class(name: str, above: int) -> str:
    """The folder that a sample lies in, in the split's own, which is *above* folders deep."""
    return name.split("/", above + 1)[above]


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
