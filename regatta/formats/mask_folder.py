"""`mask-folder`: a folder of images and a folder of masks with the same names but for the suffix."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regatta.errors import RegattaError, UnreadableError
from regatta.formats.folders import list_images
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
    image_paths, ignored = list_images(raw, images)
    mask_paths, _ = list_images(raw, masks)
    mask_by_stem = _by_stem(mask_paths, raw / masks)
    image_by_stem = _by_stem(image_paths, raw / images)
    pairs = [(path, mask_by_stem.get(stem)) for stem, path in image_by_stem.items()]
    lonely = [str(path.relative_to(raw)) for stem, path in mask_by_stem.items() if stem not in image_by_stem]

    def read(at: int) -> Pixels:
        return _read_pair(*pairs[at], card)

    names = tuple(path.relative_to(raw).as_posix() for path in image_by_stem.values())
    return Source(names, None, read, (*ignored, *lonely))


def _by_stem(paths: list[Path], folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise RegattaError(
                f"{path}: differs from {found[stem].name} only in its suffix; keep one of them"
            )
        found[stem] = path
    return found


def _read_pair(image_path: Path, mask_path: Path | None, card: Card) -> Pixels:
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


def _checked(mask: NDArray[np.int64], card: Card) -> NDArray[np.uint8]:
    """The mask as u8[h w], every value a class or the ignore label."""
    wrong = mask[(mask < 0) | (mask >= len(card.classes)) & (mask != (card.ignore_label or -1))]
    if wrong.size:
        raise UnreadableError(f"its mask holds label {wrong.min()}; the card allows {card.label_range}")
    return mask.astype(np.uint8)
