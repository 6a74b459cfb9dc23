"""Appending rows to an .npy file, so that neither their number nor much memory is needed beforehand."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """An .npy file of rows of one shape and type. Its header is true after `close`.

    numpy pads a header so that the number of rows can grow in place.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._file: BinaryIO = path.open("xb")
        self._row_shape, self._dtype, self._rows = row_shape, np.dtype(dtype), 0
        self._write_header()

    def append(self, rows: NDArray[Any]) -> None:
        """Rows [n, *row_shape] of the file's type."""
        assert rows.shape[1:] == self._row_shape and rows.dtype == self._dtype
        # Not by `tofile`, which says of a full disk only that it wrote fewer items.
        self._file.write(rows.tobytes())
        self._rows += len(rows)

    def close(self) -> None:
        with self._file:  # closed also where there is no room for the header
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        shape = (self._rows, *self._row_shape)
        header = {"descr": description, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
