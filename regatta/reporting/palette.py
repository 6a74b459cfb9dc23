"""Colours that stay apart, also for eyes that see two primaries only."""

import colorsys

import numpy as np
from numpy.typing import NDArray

VOID_RGB = (154, 160, 166)
"""Grey of pixels that are not scored; no class is given a grey near it."""
ERROR_RGB = (213, 94, 0)
"""Vermilion: stands out from a greyed picture in every kind of colour vision."""

# The first eight are Okabe and Ito's (2008, "Color Universal Design"), with their black softened. The rest
# were chosen greedily: each is the colour furthest from all before it, from white and from the grey of void
# (in OKLab; the worst of normal, protan, deutan and tritan vision as simulated by Machado et al. 2009).
_CLASS_HEX = (
    "1f2a36 e69f00 56b4e9 009e73 f0e442 0072b2 d55e00 cc79a7 "
    "0000b6 6d4924 92dbb6 b624ff 92006d b6ffb6 490000 4924db "
    "6d92ff 00dbff b62492 004949 00db6d 49006d 6d2400 ff496d "
    "926ddb db00b6 6d2492 009224 496d49 ffff00 ffb600"
)
_CLASS_RGB = tuple((int(h[:2], 16), int(h[2:4], 16), int(h[4:], 16)) for h in _CLASS_HEX.split())
_GOLDEN_ANGLE = 0.6180339887498949


def class_rgb(label: int) -> tuple[int, int, int]:
    """Colour of class *label*; the same in every picture, figure and page."""
    if label < len(_CLASS_RGB):
        return _CLASS_RGB[label]
    red, green, blue = colorsys.hls_to_rgb((label * _GOLDEN_ANGLE) % 1, (0.35, 0.55, 0.75)[label % 3], 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)


def label_palette(ignore_label: int | None) -> NDArray[np.uint8]:
    """Colour of every possible value of a label map: u8[256 3]. *ignore_label* is void's grey."""
    palette = np.array([class_rgb(label) for label in range(256)], dtype=np.uint8)
    if ignore_label is not None:
        palette[ignore_label] = VOID_RGB
    return palette
