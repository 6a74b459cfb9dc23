"""Arrays to pictures that a person can read: enlarged, coloured, laid over each other.

Pictures are u8[H W 3] here, images as packed u8[H W C] with 1 or 3 channels.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regatta.reporting.palette import ERROR_RGB, VOID_RGB, label_palette

READABLE_PX = 128
"""Smaller pictures are enlarged by a whole factor until their shorter side has this many pixels."""

# Seven stops of matplotlib's "inferno" (van der Walt and Smith 2015): lightness grows with the value.
_HEAT_RGB = (
    (0, 0, 4),
    (51, 10, 95),
    (120, 28, 109),
    (187, 55, 84),
    (237, 105, 37),
    (251, 180, 26),
    (252, 255, 164),
)


def colour_image(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A packed image as a picture; grey is repeated into three channels."""
    return np.ascontiguousarray(np.broadcast_to(image_HWC, (*image_HWC.shape[:2], 3)))


def enlarge(picture_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """*picture_HW3* repeated pixel by pixel to at least READABLE_PX, so that 8×8 digits stay crisp."""
    factor = max(1, -(-READABLE_PX // min(picture_HW3.shape[:2])))
    return picture_HW3.repeat(factor, axis=0).repeat(factor, axis=1)


def colour_labels(labels_HW: NDArray[np.uint8], ignore_label: int | None) -> NDArray[np.uint8]:
    """A label map in the colours of its classes, void in grey."""
    return label_palette(ignore_label)[labels_HW]


def colour_errors(
    image_HWC: NDArray[np.uint8],
    truth_HW: NDArray[np.uint8],
    prediction_HW: NDArray[np.uint8],
    ignore_label: int | None,
) -> NDArray[np.uint8]:
    """Wrong pixels in vermilion on a pale grey picture; void, which is neither right nor wrong, in grey."""
    grey_HW1 = image_HWC.mean(axis=2, keepdims=True)
    picture = colour_image((170 + grey_HW1 * (85 / 255)).round().astype(np.uint8))
    picture[truth_HW != prediction_HW] = ERROR_RGB
    if ignore_label is not None:
        picture[truth_HW == ignore_label] = VOID_RGB
    return picture


def overlay_activation(
    picture_HW3: NDArray[np.uint8], activation_map: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A class activation map f32[h w], stretched over the picture as heat on grey (Zhou et al. 2016).

    The map is scaled to [0, 1] by its own range; a flat one gives no heat.
    """
    heat_HW1 = _stretch(_unit_range(activation_map), picture_HW3.shape[:2])[..., None]
    stops = np.linspace(0, 1, len(_HEAT_RGB))
    colours = np.array(_HEAT_RGB, dtype=np.float64).T
    heat_HW3 = np.concatenate([np.interp(heat_HW1, stops, channel) for channel in colours], axis=2)
    grey_HW3 = np.broadcast_to(picture_HW3.mean(axis=2, keepdims=True), picture_HW3.shape)
    # Half of the picture always shows through; cold places show nearly all of it.
    share_HW1 = 0.15 + 0.45 * heat_HW1
    return (grey_HW3 * (1 - share_HW1) + heat_HW3 * share_HW1).round().astype(np.uint8)


def _unit_range(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values = np.nan_to_num(values.astype(np.float32))
    span = float(values.max() - values.min())
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)


def _stretch(values_hw: NDArray[np.float32], size_HW: tuple[int, ...]) -> NDArray[np.float32]:
    """f32[h w] → f32[H W], bilinear."""
    height, width = size_HW
    resized = Image.fromarray(values_hw).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32).clip(0, 1)
