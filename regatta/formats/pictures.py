"""One image file as u8[h w C], whatever way its pixels are written.

Read with Pillow: torchvision 0.29's decoders know neither TIFF nor BMP and hand 16 bits on as they are.
And Pillow scales over threads: 367 JPEGs of 480x360 took 1.15 s on one, 0.51 s on two of two cores,
and 0.54 s in a pool of two processes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from regatta.errors import UnreadableError

KINDS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
"""What is read, by content. Not GIF: which of its pictures would be the sample?"""
PHOTO_AND_PREVIEWS = {"MPO"}
"""JPEGs as telephones write them: the first picture is the photograph."""
READ_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
UNREAD_SUFFIXES = {".gif", ".svg", ".heic", ".heif", ".avif", ".jp2"}
SUFFIXES = frozenset(READ_SUFFIXES | UNREAD_SUFFIXES)
"""Files with these are samples; those of a kind that is not read are named as unreadable."""
PIXELS_MAX = 89_478_485
"""What Pillow takes for a decompression bomb (a quarter of a GiB in RGB); it only warns up to twice that."""
DEEP_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})


def read_image(path: Path, channels: int) -> NDArray[np.uint8]:
    """u8[h w C] with C = *channels* (1 is grey, 3 is RGB), upright as its EXIF says.

    Transparency is dropped, as torchvision's and timm's loaders do; of 16 bits the high byte is kept.

    Raises:
        UnreadableError: the file is not a whole image of a kind that is read.
    """
    converted = _eight_bits(_load(path)).convert("L" if channels == 1 else "RGB")
    return np.asarray(converted, np.uint8).reshape(converted.height, converted.width, channels)


def read_mask(path: Path) -> NDArray[np.int64]:
    """Labels i64[h w] of a mask: a palette's indices, or grey values as they are (8 or 16 bits).

    Raises:
        UnreadableError: the file is not a whole image, or has colours instead of labels.
    """
    mask = _load(path)
    if mask.mode not in {"1", "L", "P", "I"} | DEEP_GREY:
        raise UnreadableError(f"has {mask.mode} pixels; a mask needs one channel (or a palette) of labels")
    return np.asarray(mask).astype(np.int64)


def _load(path: Path) -> Image.Image:
    """The decoded picture, upright; every way in which a decoder can refuse bytes becomes one reason."""
    if path.stat().st_size == 0:
        raise UnreadableError("is empty (0 bytes)")
    try:
        with Image.open(path, formats=KINDS) as picture:
            _check_header(picture)
            picture.load()
            # In place: a copy more of a large picture is a quarter of a gigabyte more.
            ImageOps.exif_transpose(picture, in_place=True)
    except (UnreadableError, UnidentifiedImageError) as fault:
        if isinstance(fault, UnreadableError):
            raise
        raise UnreadableError(_what_it_is(path)) from None
    except Image.DecompressionBombError as fault:
        raise UnreadableError(f"decompression bomb: {fault}") from None
    except Exception as fault:  # on broken bytes decoders raise what they like
        raise UnreadableError(f"truncated or corrupt: {fault}") from None
    return picture


def _check_header(picture: Image.Image) -> None:
    """Refuse by what the header says, before a pixel is decoded."""
    width, height = picture.size
    if width * height > PIXELS_MAX:
        raise UnreadableError(f"decompression bomb: {width}x{height} px; the most is {PIXELS_MAX}")
    if picture.format not in PHOTO_AND_PREVIEWS and _has_second(picture):
        raise UnreadableError("holds several pictures; which is the sample?")


def _has_second(picture: Image.Image) -> bool:
    """Not by `n_frames`, for which Pillow walks through a TIFF: hours where its pictures are many."""
    try:
        picture.seek(1)
    except EOFError:
        return False
    picture.seek(0)
    return True


def _what_it_is(path: Path) -> str:
    """Why Pillow does not know the file, from its first bytes."""
    with path.open("rb") as file:
        head = file.read(512).lstrip()
    if head.startswith((b"GIF87a", b"GIF89a")):
        return f"is a GIF, which is not read (named '{path.suffix}'); save it as PNG"
    if head.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg")):
        return f"is SVG or XML text (named '{path.suffix}'); save it as PNG"
    if head.startswith((b"\xff\xd8", b"\x89PNG")):
        return "truncated or corrupt: its header is not whole"
    return f"is none of {', '.join(KINDS)}"


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture with 8 bits per channel and without transparency in its palette."""
    if picture.mode in DEEP_GREY:
        return Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise UnreadableError(
            f"has 32-bit pixels (mode {picture.mode}) without a known range; save with 8 or 16"
        )
    has_transparency = picture.mode == "P" and "transparency" in picture.info
    return picture.convert("RGBA") if has_transparency else picture
