"""What files held when they were last read: `verified.jsonl` in `home()`.

One line for each file that was read, appended by any number of processes at once, without a lock. Lines
may be torn by a kill, twice there or lost: that costs reading again, and nothing else.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from regatta.settings.home import home
from regatta.whole import whole_file

Key = tuple[str, str]
"""Name of an algorithm, absolute path."""
Look = tuple[int, ...]
"""Size in bytes, nanoseconds of the last change and of the last change of status, inode. The change of
status no program can set back: a file that was altered and then dated as before looks different."""
Entries = dict[Key, tuple[str, Look]]
"""The digest, and how the file looked when it was read."""

SPARE_LINES = 1000
"""So many lines of no more use, and as many again as are of use, may stand in the file."""


def look_of(status: os.stat_result) -> Look:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def recall() -> Entries:
    """All that is remembered, by key; the last line about a file counts."""
    lines = _lines()
    entries = dict(_parsed(lines))
    if len(lines) > 2 * len(entries) + SPARE_LINES:
        _write_anew(entries)
    return entries


def remember(entries: Entries) -> None:
    """Append *entries*. Where that is impossible (disk full, no permission), nothing is remembered."""
    with suppress(OSError):
        home().mkdir(parents=True, exist_ok=True)
        opened = os.open(_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(opened, b"\n" + _text(entries))  # its own line, also after a torn one
        finally:
            os.close(opened)


def _write_anew(entries: Entries) -> None:
    """Let go of what is of no more use; what others append meanwhile is lost."""
    with suppress(OSError), whole_file(_file()) as partial:
        partial.write_bytes(_text({key: entry for key, entry in entries.items() if Path(key[1]).exists()}))


def _file() -> Path:
    return home() / "verified.jsonl"


def _text(entries: Entries) -> bytes:
    lines = (json.dumps([*key, digest, *look]) for key, (digest, look) in entries.items())
    return "".join(f"{line}\n" for line in lines).encode()


def _lines() -> list[bytes]:
    try:
        return [line for line in _file().read_bytes().splitlines() if line]
    except OSError:
        return []


def _parsed(lines: Iterable[bytes]) -> Iterator[tuple[Key, tuple[str, Look]]]:
    for line in lines:
        with suppress(ValueError, TypeError):  # torn
            algorithm, path, digest, *look = json.loads(line)
            yield (str(algorithm), str(path)), (str(digest), tuple(look))
