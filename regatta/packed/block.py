"""Some samples of a split, decoded, brought to the card's size and counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regatta.errors import UnreadableError
from regatta.names import Names
from regatta.packed.fit import fit_image, fit_mask
from regatta.packed.samples import Samples
from regatta.packed.statistics import Statistics, channel_sums, class_counts, pixel_digest
from regatta.settings.card import Card


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


def read_block(samples: Samples, positions: Sequence[int], card: Card) -> Block:
    """The samples at *positions*; those that cannot be read are left out and named in the statistics.

    Raises:
        RegattaError: the card does not fit the data.
    """
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
    image = fit_image(sample.image, card)
    return _Fitted(name, image, target, pixel_digest(sample.image), size)


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
        names=Names(one.name for one in fitted),
        digests=b"".join(one.digest for one in fitted),
        sizes=Counter(one.size for one in fitted),
        unreadable=unreadable,
    )
