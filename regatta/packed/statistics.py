"""Exact counts over a split: integers, so that neither order nor number of threads can change them."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from xxhash import xxh3_128

from regatta.names import Names

Totals = tuple[int, ...]
DIGEST_BYTES = 16
Sizes = Counter[tuple[int, int]]
"""How many images have (width_px, height_px) in the source."""


@dataclass(frozen=True)
class Statistics:
    """Of some samples of a split, in order."""

    pixels: int
    """Of all images together, padding included."""
    sums: Totals
    """Per channel, of values 0-255."""
    squares: Totals
    class_counts: Totals
    """Samples, or mask pixels, per class."""
    names: Names
    digests: bytes
    """DIGEST_BYTES for each sample, of its decoded pixels in their own size."""
    sizes: Sizes
    unreadable: tuple[tuple[str, str], ...]
    """(name, reason) of samples that were left out."""

    def mean(self) -> tuple[float, ...]:
        """Per channel, in [0, 1]."""
        return tuple(total / (255 * self.pixels) for total in self.sums)

    def std(self) -> tuple[float, ...]:
        """Per channel, in [0, 1]; 1 for a channel that never varies, so that one can divide by it."""
        pairs = zip(self.sums, self.squares, strict=True)
        spreads = [self.pixels * squared - total * total for total, squared in pairs]
        return tuple(math.sqrt(spread) / (255 * self.pixels) if spread else 1.0 for spread in spreads)


def channel_sums(images_NHWC: NDArray[np.uint8]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sums and sums of squares per channel."""
    values = np.arange(256)
    counts_CV = _histogram(images_NHWC)
    return tuple((counts_CV @ values).tolist()), tuple((counts_CV @ values**2).tolist())


def class_counts(targets: NDArray[Any], classes: int) -> tuple[int, ...]:
    """How often each class occurs in labels i64[N] or masks u8[N H W].

    Other values (the ignore label) are not counted.
    """
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=classes)
    else:
        counts = _histogram(targets[..., None])[0]
    return tuple(counts[:classes].tolist())


def _histogram(values_NHWC: NDArray[np.uint8]) -> NDArray[np.int64]:
    """i64[C 256]: how often each value occurs. Pillow counts ten times as fast as numpy does."""
    *_, width, channels = values_NHWC.shape
    if not values_NHWC.size:
        return np.zeros((channels, 256), np.int64)
    rows = values_NHWC.reshape(-1, width, channels)
    image = Image.fromarray(rows[..., 0] if channels == 1 else rows)
    return np.array(image.histogram(), np.int64).reshape(channels, 256)


def pixel_digest(image: NDArray[np.uint8]) -> bytes:
    """Of an image's size and pixels: equal for exact duplicates, however their files are written.

    128 bits without cryptography, in a thirtieth of SHA-256's time: who wanted to could make up two
    pictures that are taken for one; by chance it does not happen.
    """
    digest = xxh3_128(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def merged(parts: Iterable[Statistics]) -> Statistics:
    """Statistics of all the samples of *parts*, in their order; parts that come one by one are not kept."""
    names, digests, sizes = Names(), bytearray(), Sizes()
    pixels, unreadable = 0, list[tuple[str, str]]()
    sums: Totals = ()
    squares: Totals = ()
    class_counts: Totals = ()
    for part in parts:
        names.extend(part.names)
        digests += part.digests
        sizes.update(part.sizes)
        pixels += part.pixels
        unreadable += part.unreadable
        sums = _added(sums, part.sums)
        squares = _added(squares, part.squares)
        class_counts = _added(class_counts, part.class_counts)
    return Statistics(pixels, sums, squares, class_counts, names, bytes(digests), sizes, tuple(unreadable))


def _added(one: Totals, other: Totals) -> Totals:
    return tuple(mine + theirs for mine, theirs in zip_longest(one, other, fillvalue=0))
