"""Decoding a split on all cores into packed arrays, with memory that does not grow with the split."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from regatta.names import Names
from regatta.packed.block import read_block
from regatta.packed.npy import GrowingArray
from regatta.packed.processes import in_order
from regatta.packed.samples import Samples
from regatta.packed.statistics import Statistics, merged
from regatta.settings.card import Card

BLOCK_SAMPLES, BLOCK_BYTES = 64, 2**20
"""A process's portion is no more than either: the last ones of a split should come to an end together."""

NAMES_AT_ONCE = 1000


def pack_split(samples: Samples, card: Card, folder: Path, advance: Callable[[int], None]) -> Statistics:
    """Write images.npy, targets.npy and names.json of a split into the new folder *folder*.

    As many processes as cores decode, and write what they decode to its place by themselves. (Threads
    would wait for each other: of a small picture, half the work is Pillow's Python.) Samples that cannot
    be read are left out and named in the statistics.

    Raises:
        RegattaError: the card does not fit the data.
    """
    folder.mkdir()
    count, step = len(samples.names), _block_samples(card)
    with closing(_images(card, folder)) as images, closing(_targets(samples, card, folder)) as targets:

        def pack(begin: int) -> Statistics:
            block = read_block(samples, range(begin, min(begin + step, count)), card)
            images.write(begin, block.images)
            targets.write(begin, block.targets)
            return block.statistics

        def kept() -> Iterator[Statistics]:
            begins = range(0, count, step)
            for begin, found in zip(begins, in_order(pack, begins, os.cpu_count() or 1), strict=True):
                images.keep(begin, len(found.names))
                targets.keep(begin, len(found.names))
                advance(len(found.names) + len(found.unreadable))
                yield found

        statistics = merged(kept())
    _write_names(folder / "names.json", statistics.names)
    return statistics


def _write_names(path: Path, names: Names) -> None:
    """As one list of JSON, and never as one in memory."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        left, comma = iter(names), ""
        while some := list(islice(left, NAMES_AT_ONCE)):
            file.write(comma + json.dumps(some)[1:-1])
            comma = ", "
        file.write("]")


def _block_samples(card: Card) -> int:
    image_bytes = card.image.height_px * card.image.width_px * card.image.channels
    return max(1, min(BLOCK_SAMPLES, BLOCK_BYTES // image_bytes))


def _images(card: Card, folder: Path) -> GrowingArray:
    row_shape = (card.image.height_px, card.image.width_px, card.image.channels)
    return GrowingArray(folder / "images.npy", row_shape, np.uint8)


def _targets(samples: Samples, card: Card, folder: Path) -> GrowingArray:
    size = (card.image.height_px, card.image.width_px)
    row_shape, dtype = (size, np.uint8) if samples.labels is None else ((), np.int64)
    return GrowingArray(folder / "targets.npy", row_shape, dtype)
