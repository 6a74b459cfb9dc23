"""One image file as u8[h w C], whatever way its pixels are written.

Read with Pillow, but for plain ones: torchvision 0.29's decoders know neither TIFF nor BMP, hand 16 bits on
as they are, and begin with three seconds of imports, which a tenth of a million small pictures would have to
win back.
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from regatta.errors import UnreadableError
from regatta.formats.plain_pictures import PIXELS_MAX, plain_pixels

READERS = (JpegImageFile, PngImageFile, BmpImageFile, TiffImageFile, WebPImageFile, PpmImageFile)
"""Imported here: when Pillow has to look for them, it imports all that it has, in each process that reads."""
KINDS = tuple(str(reader.format) for reader in READERS)
"""What is read, by content. Not GIF: which of its pictures would be the sample?"""
PHOTO_AND_PREVIEWS = {"MPO"}
"""JPEGs as telephones write them: the first picture is the photograph."""
READ_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
UNREAD_SUFFIXES = {".gif", ".svg", ".heic", ".heif", ".avif", ".jp2"}
SUFFIXES = frozenset(READ_SUFFIXES | UNREAD_SUFFIXES)
"""Files with these are samples; those of a kind that is not read are named as unreadable."""
DEEP_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
SMALL_FILE_BYTES = 2**20
"""Read at once: Pillow asks for a few bytes at a time, a third of its time where a picture is tiny."""

_Readable = bytes | str | Path
"""A file's bytes, or where it lies."""


def read_image(path: str | Path, channels: int) -> NDArray[np.uint8]:
    """u8[h w C] with C = *channels* (1 is grey, 3 is RGB), upright as its EXIF says.

    Transparency is dropped, as torchvision's and timm's loaders do; of 16 bits the high byte is kept.

    Raises:
        UnreadableError: the file is not a whole image of a kind that is read.
    """
    source = _source(path)
    if isinstance(source, bytes) and (plain := plain_pixels(source, channels)) is not None:
        return plain
    picture, mode = _eight_bits(_load(path, source)), "L" if channels == 1 else "RGB"
    converted = picture if picture.mode == mode else picture.convert(mode)
    return np.asarray(converted, np.uint8).reshape(converted.height, converted.width, channels)


def read_mask(path: str | Path) -> NDArray[Any]:
    """Labels [h w] of a mask as the file's integers: a palette's indices, or grey values (8 or 16 bits).

    Raises:
        UnreadableError: the file is not a whole image, or has colours instead of labels.
    """
    source = _source(path)
    if isinstance(source, bytes) and (plain := plain_pixels(source, 1)) is not None:
        return plain[..., 0]
    mask = _load(path, source)
    if mask.mode not in {"1", "L", "P", "I"} | DEEP_GREY:
        raise UnreadableError(f"has {mask.mode} pixels; a mask needs one channel (or a palette) of labels")
    return np.asarray(mask, np.uint8 if mask.mode == "1" else None)


def _load(path: str | Path, source: _Readable) -> Image.Image:
    """The decoded picture, upright; every way in which a decoder can refuse bytes becomes one reason."""
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(opened, formats=KINDS) as picture:
            _check_header(picture)
            picture.load()
            if picture.info:  # Else nothing stands beside the pixels, and looking for EXIF takes 10 µs.
                # In place: a copy more of a large picture is a quarter of a gigabyte more.
                ImageOps.exif_transpose(picture, in_place=True)
    except (UnreadableError, UnidentifiedImageError) as fault:
        if isinstance(fault, UnreadableError):
            raise
        raise UnreadableError(_what_it_is(Path(path))) from None
    except Image.DecompressionBombError as fault:
        raise UnreadableError(f"decompression bomb: {fault}") from None
    except Exception as fault:  # on broken bytes decoders raise what they like
        raise UnreadableError(f"truncated or corrupt: {fault}") from None
    return picture


def _source(path: str | Path) -> _Readable:
    """The bytes of a file that is small; else where it lies."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (see regatta.verified.File)
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes == 0:
            raise UnreadableError("is empty (0 bytes)")
        return file.readall() if size_bytes <= SMALL_FILE_BYTES else path


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
