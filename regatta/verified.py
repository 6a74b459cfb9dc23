"""Whether files hold what they should, and what it cost to find out: what looks unchanged is not read again.

A remembered digest can clear a file of suspicion, but never accuse it: before a file is called wrong, it
is read.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from hashlib import file_digest, md5, sha256
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from xxhash import xxh3_128

from regatta.ledger import Entries, Key, Look, look_of, recall, remember

Algorithm = Literal["xxh3_128", "sha256", "md5"]
_BEGUN: Mapping[Algorithm, Callable[[], Any]] = {"xxh3_128": xxh3_128, "sha256": sha256, "md5": md5}
File = TypeVar("File", str, Path)
"""Give strings where files are very many: Python keeps the parts of paths in a table that never shrinks."""
SETTLED_S = 2.0
"""What changed less than this before it is read is not remembered: the clock of a file system may be so
coarse that a next change would look the same."""
LARGE_BYTES = 2**20
FILES_AT_ONCE = 1000
"""What is noted of files while they are looked at takes a kilobyte each; data sets have a million."""


@dataclass(frozen=True)
class Cost:
    """What verifying took."""

    files: int = 0
    files_read: int = 0
    """The others look as they did when they were last read."""
    bytes_read: int = 0
    elapsed_s: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Cost(*(one + another for one, another in pairs))

    def __str__(self) -> str:
        verified = f"verified {self.files} file{'' if self.files == 1 else 's'}"
        if not self.files_read:
            return f"{verified}, unchanged since they were last read"
        return f"{verified}, {self.bytes_read / 1e6:.1f} MB read in {self.elapsed_s:.2f} s"


@dataclass(frozen=True)
class _Read:
    digest: str
    look: Look
    is_settled: bool


def differing(
    expected: Iterable[tuple[File, str]], algorithm: Algorithm = "xxh3_128", fresh: bool = False
) -> tuple[dict[File, str | None], Cost]:
    """Those files whose digest is not the expected one, with the one they have (None: no such file).

    With *fresh*, every file is read and none is remembered: for files that are read only once.

    Raises:
        OSError: a file cannot be read.
    """
    began_s, known = time.perf_counter(), {} if fresh else recall()
    wrong: dict[File, str | None] = {}
    files = files_read = bytes_read = 0
    coming = iter(expected)
    while some := dict(islice(coming, FILES_AT_ONCE)):
        missing, found = _looked_at(some, known, algorithm)
        if not fresh:
            _remember(found, algorithm)
        digests = missing | {path: read.digest for path, read in found.items()}
        wrong |= {path: digest for path, digest in digests.items() if digest != some[path]}
        files, files_read = files + len(some), files_read + len(found)
        bytes_read += sum(read.look[0] for read in found.values())
    return wrong, Cost(files, files_read, bytes_read, time.perf_counter() - began_s)


def _looked_at(
    expected: Mapping[File, str], known: Entries, algorithm: Algorithm
) -> tuple[dict[File, None], dict[File, _Read]]:
    """Files that are missing, and what was read of those that do not look as they are *known* to."""
    looks = {path: _look(path) for path in expected}
    unsure = [
        path
        for path, look in looks.items()
        if look and known.get(_key(path, algorithm)) != (expected[path], look)
    ]
    return {path: None for path, look in looks.items() if look is None}, _read_all(unsure, algorithm)


def _key(path: str | Path, algorithm: Algorithm) -> Key:
    return algorithm, os.path.abspath(path)  # noqa: PTH100 (see File)


def _look(path: str | Path) -> Look | None:
    """How the file looks; None when there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    return look_of(status) if stat.S_ISREG(status.st_mode) else None


def _read_all(paths: Sequence[File], algorithm: Algorithm) -> dict[File, _Read]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # small files are faster without
        large = [path for path in paths if os.stat(path).st_size >= LARGE_BYTES]  # noqa: PTH116
        ahead = {path: pool.submit(_read, path, algorithm) for path in large}
        return {path: ahead[path].result() if path in ahead else _read(path, algorithm) for path in paths}


def _read(path: str | Path, algorithm: Algorithm) -> _Read:
    with open(path, "rb") as file:  # noqa: PTH123
        status, now_s = os.fstat(file.fileno()), time.time()  # before reading: a change meanwhile will show
        is_settled = max(status.st_mtime, status.st_ctime) < now_s - SETTLED_S
        return _Read(file_digest(file, _BEGUN[algorithm]).hexdigest(), look_of(status), is_settled)


def _remember(found: Mapping[File, _Read], algorithm: Algorithm) -> None:
    settled = {path: read for path, read in found.items() if read.is_settled}
    if settled:
        remember({_key(path, algorithm): (read.digest, read.look) for path, read in settled.items()})
