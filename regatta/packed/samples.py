"""What packing asks of a split's samples; every format's Source has this shape."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Sample(Protocol):
    """One decoded sample in its own size."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """u8[h w C]"""
        ...

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """u8[h w] label map, or None for classification."""
        ...


class Samples(Protocol):
    """The samples of one split, decoded one at a time."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """i64[N], or None for segmentation."""
        ...

    def read(self, at: int, /) -> Sample:
        """Called in several processes. Raises UnreadableError with the reason."""
        ...
