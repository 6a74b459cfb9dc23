"""How raw files become samples. One file per format; FORMATS is the only list."""

from collections.abc import Callable
from pathlib import Path

from regatta.errors import RegattaError
from regatta.formats.cifar_binary import open_cifar_binary
from regatta.formats.digits import open_digits
from regatta.formats.fractions import positions_of
from regatta.formats.idx import open_idx
from regatta.formats.image_folder import open_image_folder
from regatta.formats.mask_folder import open_mask_folder
from regatta.formats.scenes import open_scenes
from regatta.formats.source import Source, part
from regatta.settings.card import Card
from regatta.settings.origin import FormatName, SplitName, SplitSource

OpenFormat = Callable[[Path, Card, SplitName, SplitSource], Source]
"""(data/raw/D, the card, which split, where the card says it lies) → its samples."""

FORMATS: dict[FormatName, OpenFormat] = {
    "digits": open_digits,
    "scenes": open_scenes,
    "idx": open_idx,
    "cifar-binary": open_cifar_binary,
    "image-folder": open_image_folder,
    "mask-folder": open_mask_folder,
}


def open_split(raw: Path, card: Card, split: SplitName) -> Source:
    """The samples of *split* of the data set that lies at *raw*.

    Raises:
        RegattaError: the split is empty, or its files are not what the card says.
    """
    taken_from: SplitName = "train" if card.splits[split].fraction else split
    source = FORMATS[card.format](raw, card, taken_from, card.splits[taken_from])
    if any(place.fraction for place in card.splits.values()) and taken_from == "train":
        source = part(source, positions_of(card, split, source))
    if not len(source):
        raise RegattaError(
            f"{raw}: split '{split}' has no samples; see 'splits' in datasets/{card.name}.yaml"
        )
    return source
