"""Decoding a split on all cores into packed arrays, with memory that does not grow with the split."""

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regatta.errors import UnreadableError
from regatta.packed.fit import fit_image, fit_mask
from regatta.packed.npy import GrowingArray
from regatta.packed.samples import Samples
from regatta.packed.statistics import Statistics, channel_sums, class_counts, merged, pixel_digest
from regatta.settings.card import Card

BLOCK_SAMPLES, BLOCK_BYTES = 64, 4 * 2**20
"""A thread's portion is no more than either."""


@dataclass(frozen=True)
class Block:
    """Some packed samples, in order."""

    images: NDArray[np.uint8]
    """u8[n H W C]"""
    targets: NDArray[Any]
    """i64[n] or u8[n H W]"""
    statistics: Statistics


@dataclass(frozen=True)
class _Fitted:
    """One sample in the card's size, with what the report wants to know of it."""

    name: str
    image: NDArray[np.uint8]
    target: NDArray[np.uint8] | int
    digest: bytes
    size: tuple[int, int]
    """(width_px, height_px) of the source"""


def pack_split(samples: Samples, card: Card, folder: Path, advance: Callable[[int], None]) -> Statistics:
    """Write images.npy, targets.npy and names.json of a split into the new folder *folder*.

    Threads decode: Pillow lets go of the interpreter while it decodes and resizes. Samples that
    cannot be read are left out and named in the statistics.

    Raises:
        RegattaError: the card does not fit the data.
    """
    folder.mkdir()
    parts: list[Statistics] = []
    height, width = card.image.height_px, card.image.width_px
    target = ((), np.int64) if samples.labels is not None else ((height, width), np.uint8)
    images = GrowingArray(folder / "images.npy", (height, width, card.image.channels), np.uint8)
    with closing(images), closing(GrowingArray(folder / "targets.npy", *target)) as targets:
        for block in _blocks(samples, card):
            images.append(block.images)
            targets.append(block.targets)
            parts.append(block.statistics)
            advance(len(block.statistics.names) + len(block.statistics.unreadable))
    statistics = merged(parts)
    (folder / "names.json").write_text(json.dumps(statistics.names), encoding="utf-8")
    return statistics


def _blocks(samples: Samples, card: Card) -> Iterator[Block]:
    """All samples in order, a few blocks decoded ahead."""
    image_bytes = card.image.height_px * card.image.width_px * card.image.channels
    step = max(1, min(BLOCK_SAMPLES, BLOCK_BYTES // image_bytes))
    count, threads = len(samples.names), os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Block]] = deque()
        try:
            for begin in range(0, count, step):
                waiting.append(pool.submit(_pack, samples, range(begin, min(begin + step, count)), card))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _pack(samples: Samples, positions: Sequence[int], card: Card) -> Block:
    results = [_fitted(samples, at, card) for at in positions]
    fitted = [one for one in results if isinstance(one, _Fitted)]
    size = (card.image.height_px, card.image.width_px)
    images = np.array([one.image for one in fitted], np.uint8).reshape(-1, *size, card.image.channels)
    if samples.labels is not None:
        targets: NDArray[Any] = np.array([one.target for one in fitted], np.int64)
    else:
        targets = np.array([one.target for one in fitted], np.uint8).reshape(-1, *size)
    unreadable = tuple(one for one in results if not isinstance(one, _Fitted))
    return Block(images, targets, _statistics(fitted, images, targets, unreadable, card))


def _fitted(samples: Samples, at: int, card: Card) -> _Fitted | tuple[str, str]:
    """A sample in the card's size, or its name and why it cannot be read."""
    name = samples.names[at]
    try:
        sample = samples.read(at)
    except UnreadableError as fault:
        return name, str(fault)
    target = fit_mask(sample.mask, card) if sample.mask is not None else _label(samples, at)
    size = (sample.image.shape[1], sample.image.shape[0])
    return _Fitted(name, fit_image(sample.image, card), target, pixel_digest(sample.image), size)


def _label(samples: Samples, at: int) -> int:
    assert samples.labels is not None, "a sample has a label or a mask"
    return int(samples.labels[at])


def _statistics(
    fitted: Sequence[_Fitted],
    images: NDArray[np.uint8],
    targets: NDArray[Any],
    unreadable: tuple[tuple[str, str], ...],
    card: Card,
) -> Statistics:
    sums, squares = channel_sums(images)
    return Statistics(
        pixels=images[..., 0].size,
        sums=sums,
        squares=squares,
        class_counts=class_counts(targets, len(card.classes)),
        names=tuple(one.name for one in fitted),
        digests=tuple(one.digest for one in fitted),
        sizes=Counter(one.size for one in fitted),
        unreadable=unreadable,
    )
