"""`digits`: 1,797 real handwritten digits that scikit-learn carries, 8x8 with values 0-16."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regatta.arrays import open_array
from regatta.formats.source import Pixels, Source
from regatta.names import Names
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource

VALUE_MAX = 16


def write_digits(folder: Path) -> None:
    """images.npy u8[1797 8 8] and labels.npy i64[1797], as scikit-learn has them."""
    from sklearn.datasets import load_digits  # a second of imports

    digits: Any = load_digits()
    _save(folder / "images.npy", digits.images.astype(np.uint8))
    _save(folder / "labels.npy", digits.target.astype(np.int64))


def _save(path: Path, array: NDArray[Any]) -> None:
    """Through memory: numpy says of a full disk only that it wrote fewer items than it should."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    path.write_bytes(content.getvalue())


def open_digits(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """All digits, with values spread over 0-255.

    Raises:
        RegattaError: a file is missing or not what `write_digits` writes.
    """
    stage = f"download@{card.name}"
    images = open_array(raw / "images.npy", stage).astype(np.uint16)
    labels = open_array(raw / "labels.npy", stage)
    spread = ((images * 255 + VALUE_MAX // 2) // VALUE_MAX).astype(np.uint8)[..., None]
    names = Names(f"digit-{number:04d}" for number in range(len(labels)))
    return Source(names, labels, lambda at: Pixels(spread[at]))
