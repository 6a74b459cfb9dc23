"""What every format hands over for a split: names, labels, and a way to read one sample at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regatta.names import Names


@dataclass(frozen=True)
class Pixels:
    """One decoded sample in its own size."""

    image: NDArray[np.uint8]
    """u8[h w C], C as the card says"""
    mask: NDArray[np.uint8] | None = None
    """u8[h w] label map; None for classification"""


@dataclass(frozen=True)
class Source:
    """The samples of one split as they lie in data/raw/D. Nothing is decoded before `read`."""

    names: Sequence[str]
    """Of each sample, unique within the data set: a path, or a file and a position in it."""
    labels: NDArray[np.int64] | None
    """i64[N] class indices; None for segmentation."""
    read: Callable[[int], Pixels]
    """Sample at a position. Called in several processes. Raises UnreadableError with the reason."""
    ignored: tuple[str, ...] = ()
    """Files that lie among the samples and are none by their names."""

    def __len__(self) -> int:
        return len(self.names)


def part(source: Source, positions: NDArray[np.int64]) -> Source:
    """The samples of *source* at *positions*, in that order."""
    names = Names(source.names[int(position)] for position in positions)
    labels = None if source.labels is None else source.labels[positions]

    def read(at: int) -> Pixels:
        return source.read(int(positions[at]))

    return replace(source, names=names, labels=labels, read=read)
