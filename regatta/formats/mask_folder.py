"""`mask-folder`: a folder of images and a folder of masks with the same names but for the suffix."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regatta.errors import RegattaError, UnreadableError
from regatta.formats.folders import depth, list_images
from regatta.formats.pictures import read_image, read_mask
from regatta.formats.source import Pixels, Source
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource


def open_mask_folder(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """The split's images and masks at the places that the card names."""
    assert place.images and place.masks
    return open_folders(raw, card, place.images, place.masks)


def open_folders(raw: Path, card: Card, images: str, masks: str) -> Source:
    """Images below *images*, each with the mask of the same name below *masks*.

    Raises:
        RegattaError: a folder is missing, or two files of one folder differ only in their suffix.
    """
    image_names, ignored = list_images(raw, images)
    mask_names, _ = list_images(raw, masks)
    mask_by_stem = _by_stem(mask_names, raw, masks)
    image_by_stem = _by_stem(image_names, raw, images)
    pairs = [(name, mask_by_stem.get(stem)) for stem, name in image_by_stem.items()]
    lonely = [name for stem, name in mask_by_stem.items() if stem not in image_by_stem]

    def read(at: int) -> Pixels:
        image, mask = pairs[at]
        return _read_pair(f"{raw}/{image}", f"{raw}/{mask}" if mask else None, card)

    return Source(tuple(image_by_stem.values()), None, read, (*ignored, *lonely))


def _by_stem(names: Iterable[str], raw: Path, place: str) -> dict[str, str]:
    """Each name by what is left of it without *place* and its suffix."""
    found: dict[str, str] = {}
    above = depth(place)
    for name in names:
        stem = name.rpartition(".")[0].split("/", above)[above]
        if stem in found:
            former = PurePosixPath(found[stem]).name
            raise RegattaError(f"{raw / name}: differs from {former} only in its suffix; keep one of them")
        found[stem] = name
    return found


def _read_pair(image_path: str, mask_path: str | None, card: Card) -> Pixels:
    if mask_path is None:
        raise UnreadableError("has no mask of the same name")
    image = read_image(image_path, card.image.channels)
    try:
        mask = read_mask(mask_path)
    except UnreadableError as fault:
        raise UnreadableError(f"its mask {fault}") from None
    if mask.shape != image.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape, image.shape[:2])]
        raise UnreadableError(f"its mask is {sizes[0]} px, the image {sizes[1]}")
    return Pixels(image, _checked(mask, card))


def _checked(mask: NDArray[Any], card: Card) -> NDArray[np.uint8]:
    """The mask as u8[h w], every value a class or the ignore label."""
    is_wrong = (mask < 0) | (mask >= len(card.classes)) & (mask != (card.ignore_label or -1))
    if is_wrong.any():
        found = mask[is_wrong].min()
        raise UnreadableError(f"its mask holds label {found}; the card allows {card.label_range}")
    return mask.astype(np.uint8, copy=False)
