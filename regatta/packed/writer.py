"""Decoding splits on all cores into packed arrays, with memory that does not grow with their samples."""

import json
import os
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import numpy as np

from regatta.names import Names
from regatta.packed.block import read_block
from regatta.packed.npy import GrowingArray
from regatta.packed.processes import in_order
from regatta.packed.samples import Samples
from regatta.packed.statistics import Statistics, merged
from regatta.settings.card import Card

Advance = Callable[[int], None]
"""Takes the number of samples that were done since its last call."""

BLOCK_SAMPLES, BLOCK_BYTES = 64, 2**20
"""A process's portion is no more than either: the last ones should come to an end together."""

NAMES_AT_ONCE = 1000


def pack_splits(
    splits: Mapping[str, Samples], card: Card, folder: Path, telling: Callable[[str, int], Advance]
) -> Generator[tuple[str, Statistics]]:
    """Write each split's images.npy, targets.npy and names.json into a new folder of its name in *folder*.

    As many processes as cores decode, and write what they decode to its place by themselves. (Threads
    would wait for each other: of a small picture, half the work is Pillow's Python.) Samples that cannot
    be read are left out and named in the statistics.

    Args:
        telling: makes, of a split's name and its number of samples, what is told of each further one.

    Yields:
        each split's name and statistics once it is done; its arrays are whole when all are.

    Raises:
        RegattaError: the card does not fit the data.
    """
    with ExitStack() as stack:
        packings = [_begun(samples, card, folder / name, stack) for name, samples in splits.items()]
        firsts = list(accumulate((packing.blocks for packing in packings), initial=0))

        def pack(number: int) -> Statistics:
            at = bisect_right(firsts, number) - 1
            return packings[at].pack(number - firsts[at])

        # A set of which no split has two blocks is packed sooner than processes are forked.
        processes = min(os.cpu_count() or 1, max((packing.blocks for packing in packings), default=1))
        found = stack.enter_context(closing(in_order(pack, range(firsts[-1]), processes)))
        for name, packing in zip(splits, packings, strict=True):
            advance = telling(name, len(packing.samples.names))
            yield name, packing.kept(islice(found, packing.blocks), advance)


def _begun(samples: Samples, card: Card, folder: Path, stack: ExitStack) -> "_Packing":
    folder.mkdir()
    images = stack.enter_context(closing(_images(card, folder)))
    targets = stack.enter_context(closing(_targets(samples, card, folder)))
    return _Packing(samples, card, folder, images, targets)


@dataclass(frozen=True)
class _Packing:
    """A split, and the arrays that it goes to."""

    samples: Samples
    card: Card
    folder: Path
    images: GrowingArray
    targets: GrowingArray

    @property
    def step(self) -> int:
        """Samples of a block; the last may have fewer."""
        return _block_samples(self.card)

    @property
    def blocks(self) -> int:
        return -(-len(self.samples.names) // self.step)

    def pack(self, number: int) -> Statistics:
        """Put the block of this number where it belongs if no sample before it is left out."""
        begin = number * self.step
        end = min(begin + self.step, len(self.samples.names))
        block = read_block(self.samples, range(begin, end), self.card)
        self.images.write(begin, block.images)
        self.targets.write(begin, block.targets)
        return block.statistics

    def kept(self, found: Iterable[Statistics], advance: Advance) -> Statistics:
        """Move what was packed together, a block at a time; the statistics of all of it."""
        statistics = merged(self._kept(found, advance))
        _write_names(self.folder / "names.json", statistics.names)
        return statistics

    def _kept(self, found: Iterable[Statistics], advance: Advance) -> Iterator[Statistics]:
        for number, one in enumerate(found):
            begin = number * self.step
            self.images.keep(begin, len(one.names))
            self.targets.keep(begin, len(one.names))
            advance(len(one.names) + len(one.unreadable))
            yield one


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
