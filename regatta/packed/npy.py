"""Writing rows to an .npy file in any order, by several processes, before their number is known."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """An .npy file of rows of one shape and type. Its header is true after `close`.

    numpy pads a header so that the number of rows can grow in place. Processes that were forked from the
    one that made it may `write`; what they wrote counts once that one does `keep` it.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._file = path.open("x+b", buffering=0)
        self._row_shape, self._dtype, self._rows = row_shape, np.dtype(dtype), 0
        self._row_bytes = self._dtype.itemsize * int(np.prod(row_shape))
        with ExitStack() as closing:  # where there is no room for the header
            closing.callback(self._file.close)
            self._write_header()
            closing.pop_all()
        self._head_bytes = self._file.tell()

    def write(self, at: int, rows: NDArray[Any]) -> None:
        """Put rows [n, *row_shape] of the file's type to the places from *at* on."""
        assert rows.shape[1:] == self._row_shape and rows.dtype == self._dtype
        self._write_bytes(at, np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)

    def keep(self, at: int, count: int) -> None:
        """Let the *count* rows that were written from *at* on follow those that are kept already."""
        if at != self._rows:
            moved = os.pread(self._file.fileno(), count * self._row_bytes, self._place(at))
            self._write_bytes(self._rows, memoryview(moved))
        self._rows += count

    def close(self) -> None:
        with self._file:  # closed also where there is no room for the header
            self._file.truncate(self._place(self._rows))
            self._file.seek(0)
            self._write_header()

    def _place(self, row: int) -> int:
        return self._head_bytes + row * self._row_bytes

    def _write_bytes(self, at: int, rest: memoryview) -> None:
        place = self._place(at)
        while rest:
            done = os.pwrite(self._file.fileno(), rest, place)
            rest, place = rest[done:], place + done

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        shape = (self._rows, *self._row_shape)
        header = {"descr": description, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
