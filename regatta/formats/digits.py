"""`digits`: 1,797 real handwritten digits that scikit-learn carries, 8x8 with values 0-16."""

from pathlib import Path
from typing import Any

import numpy as np

from regatta.formats.source import Pixels, Source
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource

VALUE_MAX = 16


def write_digits(folder: Path) -> None:
    """images.npy u8[1797 8 8] and labels.npy i64[1797], as scikit-learn has them."""
    from sklearn.datasets import load_digits  # a second of imports

    digits: Any = load_digits()
    np.save(folder / "images.npy", digits.images.astype(np.uint8), allow_pickle=False)
    np.save(folder / "labels.npy", digits.target.astype(np.int64), allow_pickle=False)


def open_digits(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """All digits, with values spread over 0-255."""
    images = np.load(raw / "images.npy", allow_pickle=False).astype(np.uint16)
    labels = np.load(raw / "labels.npy", allow_pickle=False)
    spread = ((images * 255 + VALUE_MAX // 2) // VALUE_MAX).astype(np.uint8)[..., None]
    names = tuple(f"digit-{number:04d}" for number in range(len(labels)))
    return Source(names, labels, lambda at: Pixels(spread[at]))
