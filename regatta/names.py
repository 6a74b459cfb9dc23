"""Names of samples, kept small: a data set has a million, and each process that packs it has them all."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import eq
from typing import overload


class Names(Sequence[str]):
    """Strings as one text and where each ends: 30 bytes for a path, for which a tuple keeps 90.

    Reading one changes nothing in memory, not even a reference count: forked processes go on sharing it.
    Equal to any sequence of the same strings.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text, self._ends = bytearray(), array("q", [0])
        self.extend(names)

    def extend(self, names: Iterable[str]) -> None:
        """Let *names* follow those that are there."""
        for name in names:
            self._text += name.encode(errors="surrogateescape")  # as file names may be in any encoding
            self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int, /) -> str: ...
    @overload
    def __getitem__(self, at: slice, /) -> "Names": ...
    def __getitem__(self, at: int | slice, /) -> "str | Names":
        if isinstance(at, slice):
            return Names(self[each] for each in range(*at.indices(len(self))))
        place = range(len(self))[at]  # so that IndexError and negative places are a range's
        return self._text[self._ends[place] : self._ends[place + 1]].decode(errors="surrogateescape")

    def __iter__(self) -> Iterator[str]:
        begin = 0  # a third of what it costs to ask for one after the other
        for end in islice(self._ends, 1, None):
            yield self._text[begin:end].decode(errors="surrogateescape")
            begin = end

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __repr__(self) -> str:
        return f"Names({list(self)})"
