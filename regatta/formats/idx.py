"""`idx`: the binary layout of MNIST and its kin: a header of big-endian sizes, then the bytes.

Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regatta.errors import RegattaError
from regatta.formats.labels import check_labels
from regatta.formats.source import Pixels, Source
from regatta.names import Names
from regatta.settings.card import Card
from regatta.settings.origin import SplitName, SplitSource

UNSIGNED_BYTES = 0x08


def open_idx(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """A file of images u8[N h w] (or [N h w 3]) and one of labels u8[N], memory-mapped.

    Raises:
        RegattaError: a file is missing or not whole, or the two do not fit each other or the card.
    """
    assert place.images and place.labels
    images, labels_u8 = read_idx(raw / place.images), read_idx(raw / place.labels)
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] != card.image.channels:
        raise RegattaError(
            f"{raw / place.images}: images of shape {images.shape[1:]} are not what the card says"
        )
    if labels_u8.shape != images.shape[:1]:
        raise RegattaError(f"{raw / place.labels}: {len(labels_u8)} labels for {len(images)} images")
    labels = labels_u8.astype(np.int64)
    check_labels(labels, card, raw / place.labels)
    names = Names(f"{place.images}#{number}" for number in range(len(labels)))
    return Source(names, labels, lambda at: Pixels(np.asarray(images[at])))


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in an unpacked idx file, memory-mapped.

    Raises:
        RegattaError: the file is missing, not idx of unsigned bytes, or not as long as it says.
    """
    if not path.is_file():
        raise RegattaError(f"{path}: no such file; the card's splits name it")
    with path.open("rb") as file:
        head = file.read(4)
        sizes = file.read(4 * head[3]) if len(head) == 4 else b""
    if head[:3] != bytes([0, 0, UNSIGNED_BYTES]) or not sizes or len(sizes) % 4:
        raise RegattaError(f"{path}: not an idx file of unsigned bytes")
    shape = struct.unpack(f">{len(sizes) // 4}I", sizes)
    begin, expected = 4 + len(sizes), int(np.prod(shape, dtype=object))
    if path.stat().st_size != begin + expected:
        found = path.stat().st_size - begin
        raise RegattaError(f"{path}: its header promises {expected} bytes of data, found {found}")
    return np.memmap(path, np.uint8, "r", begin, shape) if expected else np.zeros(shape, np.uint8)
