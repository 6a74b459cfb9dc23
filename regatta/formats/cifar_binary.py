"""`cifar-binary`: records of one label byte and 32x32 pixels, all red ones, then green, then blue.

A. Krizhevsky (2009): Learning Multiple Layers of Features from Tiny Images. The binary version.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regatta.errors import RegattaError
from regatta.formats.labels import check_labels
from regatta.formats.source import Pixels, Source
from regatta.names import Names
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource

SIDE_PX = 32
RECORD_BYTES = 1 + 3 * SIDE_PX**2


def open_cifar_binary(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """The records of the split's files, one after the other, memory-mapped.

    Raises:
        RegattaError: a file is missing or not whole, the card wants grey, or a label is no class.
    """
    if card.image.channels != 3:
        raise RegattaError(f"datasets/{card.name}.yaml: image.channels: format 'cifar-binary' has 3")
    records = [_records(raw / name) for name in place.files]
    labels = np.concatenate([part[:, 0] for part in records]).astype(np.int64)
    check_labels(labels, card, raw / place.files[0])
    where = [(part, number) for part in records for number in range(len(part))]
    pairs = zip(place.files, records, strict=True)
    names = Names(f"{name}#{number}" for name, part in pairs for number in range(len(part)))
    return Source(names, labels, lambda at: _pixels(*where[at]))


def _records(path: Path) -> NDArray[np.uint8]:
    """u8[N 3073]"""
    if not path.is_file():
        raise RegattaError(f"{path}: no such file; the card's splits name it")
    size_bytes = path.stat().st_size
    if size_bytes == 0 or size_bytes % RECORD_BYTES:
        raise RegattaError(f"{path}: {size_bytes} bytes are not whole records of {RECORD_BYTES}")
    return np.memmap(path, np.uint8, "r").reshape(-1, RECORD_BYTES)


def _pixels(records: NDArray[np.uint8], number: int) -> Pixels:
    image_CHW = records[number, 1:].reshape(3, SIDE_PX, SIDE_PX)
    return Pixels(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
