"""Plain PNGs and JPEGs, which most data sets are made of, by libraries that decode just these.

Pillow reads all kinds of pictures; a small one takes it three times as long, most of that in Python. Plain is
a file of 8 bits, grey or RGB, with nothing beside its pixels that could turn or change them. All others are
Pillow's to read, and so is whatever is damaged: it says what is wrong. The pixels are the same.
"""

import struct
import zlib

import numpy as np
import pyspng
import simplejpeg
from numpy.typing import NDArray

PIXELS_MAX = 89_478_485
"""What Pillow takes for a decompression bomb (a quarter of a GiB in RGB); it only warns up to twice that."""

PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
PNG_FIRST_CHUNK = 8
PNG_COLOUR = {1: 0, 3: 2}
"""Colour type by channels."""
PNG_CHUNKS = frozenset({b"IHDR", b"IDAT", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"tIME"})
"""Not text, which may tell which side is up, nor animations, whose pictures are several."""

JPEG_HEAD = b"\xff\xd8\xff"
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive."""
JPEG_SEGMENTS = JPEG_FRAMES | {0xC4, 0xDB, 0xDD, 0xE0, 0xFE}
"""And tables, restart intervals, JFIF, comments; EXIF, Adobe's own and previews have others."""


def plain_pixels(data: bytes, channels: int) -> NDArray[np.uint8] | None:
    """u8[h w C] of a file that is plain, whole, and has C = *channels* (1 is grey, 3 is RGB); else None."""
    try:
        if data.startswith(PNG_HEAD) and _is_plain_png(data, channels):
            pixels = pyspng.load(data, "L" if channels == 1 else "RGB")
            return pixels.reshape(*pixels.shape[:2], channels)
        if data.startswith(JPEG_HEAD) and _is_plain_jpeg(data, channels):
            return simplejpeg.decode_jpeg(data, "GRAY" if channels == 1 else "RGB")
    except (ValueError, RuntimeError, IndexError, struct.error):
        pass
    return None


def _is_plain_png(data: bytes, channels: int) -> bool:
    width, height, bits, colour = struct.unpack_from(">IIBB", data, len(PNG_HEAD))
    if (bits, colour) != (8, PNG_COLOUR.get(channels)) or width * height > PIXELS_MAX:
        return False
    at = PNG_FIRST_CHUNK
    while (kind := data[at + 4 : at + 8]) in PNG_CHUNKS:
        end = at + 8 + int.from_bytes(data[at : at + 4])
        # Compared here, for pyspng takes the bytes as they are.
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return False
        at = end + 4
    return kind == b"IEND"


def _is_plain_jpeg(data: bytes, channels: int) -> bool:
    fits, at = False, 2
    while data[at] == 0xFF and (kind := data[at + 1]) in JPEG_SEGMENTS:
        if kind == 0xE0 and data[at + 4 : at + 9] != b"JFIF\x00":
            return False
        if kind in JPEG_FRAMES:
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            fits = (bits, components) == (8, channels) and width * height <= PIXELS_MAX
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return fits and data[at : at + 2] == b"\xff\xda"
