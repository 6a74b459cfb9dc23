"""Pictures inside the page: data URIs, small enough that a page of many runs stays light."""

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_MAX_PX = 320
_FLAT_COLOURS_MAX = 256
_RIGHT_RGB, _WRONG_RGB = (38, 126, 201), (214, 84, 10)


def data_uri(path: Path, side_max_px: int = SIDE_MAX_PX) -> str:
    """The picture *path* as `data:image/…`, its longer side at most *side_max_px*.

    Flat pictures (label maps, enlarged digits) stay PNG, pixel for pixel; photographs become JPEG.

    Raises:
        OSError: the file is missing or no picture.
    """
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    is_flat = picture.getcolors(_FLAT_COLOURS_MAX) is not None
    sampling = Image.Resampling.NEAREST if is_flat else Image.Resampling.LANCZOS
    picture.thumbnail((side_max_px, side_max_px), sampling)
    if is_flat:
        return _encode(picture.quantize(_FLAT_COLOURS_MAX, dither=Image.Dither.NONE), "png", optimize=True)
    return _encode(picture, "jpeg", quality=85, optimize=True)


def confusion_uri(counts: NDArray[np.int64]) -> str:
    """Counts [K K] as a picture of K×K pixels: right ones blue, wrong ones vermilion.

    What lies below shows through, so it suits light and dark. Opacity is the square root of a cell's share
    of its row: rare mistakes stay visible.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_right = np.eye(len(counts), dtype=bool)[..., None]
    colours = np.where(is_right, np.array(_RIGHT_RGB), np.array(_WRONG_RGB))
    opacity = (np.sqrt(shares) * 235).round()[..., None]
    return _encode(
        Image.fromarray(np.concatenate([colours, opacity], axis=2).astype(np.uint8)), "png", optimize=True
    )


def _encode(picture: Image.Image, kind: str, **settings: int | bool) -> str:
    data = io.BytesIO()
    picture.save(data, format=kind.upper(), **settings)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
