"""Exact counts over a split: integers, so that neither order nor number of threads can change them."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Sizes = Counter[tuple[int, int]]
"""How many images have (width_px, height_px) in the source."""


@dataclass(frozen=True)
class Statistics:
    """Of some samples of a split, in order."""

    pixels: int
    """Of all images together, padding included."""
    sums: tuple[int, ...]
    """Per channel, of values 0-255."""
    squares: tuple[int, ...]
    class_counts: tuple[int, ...]
    """Samples, or mask pixels, per class."""
    names: tuple[str, ...]
    digests: tuple[bytes, ...]
    """Per sample, of its decoded pixels in their own size."""
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
    flat = images_NHWC.reshape(-1, images_NHWC.shape[-1]).astype(np.uint32)
    sums, squares = flat.sum(axis=0, dtype=np.uint64), np.square(flat).sum(axis=0, dtype=np.uint64)
    return tuple(sums.tolist()), tuple(squares.tolist())


def class_counts(targets: NDArray[np.uint8] | NDArray[np.int64], classes: int) -> tuple[int, ...]:
    """How often each class occurs in labels or masks; other values (the ignore label) are not counted."""
    counts = np.bincount(targets.ravel(), minlength=classes)
    return tuple(counts[:classes].tolist())


def pixel_digest(image: NDArray[np.uint8]) -> bytes:
    """Of an image's size and pixels: equal for exact duplicates, however their files are written."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()[:16]


def merged(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of all the samples of *parts*, in their order."""
    return Statistics(
        pixels=sum(part.pixels for part in parts),
        sums=_added([part.sums for part in parts]),
        squares=_added([part.squares for part in parts]),
        class_counts=_added([part.class_counts for part in parts]),
        names=tuple(chain.from_iterable(part.names for part in parts)),
        digests=tuple(chain.from_iterable(part.digests for part in parts)),
        sizes=sum((part.sizes for part in parts), Counter()),
        unreadable=tuple(chain.from_iterable(part.unreadable for part in parts)),
    )


def _added(counts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*counts, strict=True))
