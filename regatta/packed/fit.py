"""Bringing a sample to the card's size."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regatta.errors import RegattaError
from regatta.settings.card import Card


def fit_image(image: NDArray[np.uint8], card: Card) -> NDArray[np.uint8]:
    """u8[h w C] → u8[H W C]: bilinear (averaging when it shrinks), padded with black."""
    planes = image[..., 0] if image.shape[-1] == 1 else image
    fitted = _fit(planes, card, Image.Resampling.BILINEAR, padding=0)
    return fitted.reshape(*fitted.shape[:2], -1)


def fit_mask(mask: NDArray[np.uint8], card: Card) -> NDArray[np.uint8]:
    """u8[h w] → u8[H W]: nearest label, padded with the ignore label.

    Raises:
        RegattaError: it must be padded and the card has no ignore label.
    """
    if card.ignore_label is None and inner_size(mask.shape[0], mask.shape[1], card) != _outer_size(card):
        raise RegattaError(
            f"datasets/{card.name}.yaml: image.resize: letterbox pads masks with the ignore label; "
            f"set ignore_label (255, say), or resize: stretch"
        )
    return _fit(mask, card, Image.Resampling.NEAREST, padding=card.ignore_label or 0)


def inner_size(height_px: int, width_px: int, card: Card) -> tuple[int, int]:
    """Height and width that an image of this size has within the card's."""
    height_to, width_to = _outer_size(card)
    if card.image.resize == "stretch":
        return height_to, width_to
    scale = min(height_to / height_px, width_to / width_px)
    return max(1, round(height_px * scale)), max(1, round(width_px * scale))


def _outer_size(card: Card) -> tuple[int, int]:
    return card.image.height_px, card.image.width_px


def _fit(
    planes: NDArray[np.uint8], card: Card, resampling: Image.Resampling, padding: int
) -> NDArray[np.uint8]:
    height, width = inner_size(planes.shape[0], planes.shape[1], card)
    if planes.shape[:2] != (height, width):
        planes = np.asarray(Image.fromarray(planes).resize((width, height), resampling))
    if (height, width) == _outer_size(card):
        return planes
    fitted = np.full((*_outer_size(card), *planes.shape[2:]), padding, np.uint8)
    top, left = (fitted.shape[0] - height) // 2, (fitted.shape[1] - width) // 2
    fitted[top : top + height, left : left + width] = planes
    return fitted
