"""Room and the right to write where we write, and a clock that can be believed."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regatta.findings import Finding, Severity, examine, fault, fine, note
from regatta.settings.home import home

LEAST_INODES = 10_000
CLOCK_TOLERANCE_S = 10.0
DATED = ("params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock")


@dataclass(frozen=True)
class Place:
    """A folder that we write to, and the least room that is to be free there."""

    what: str
    path: Path
    least_gb: float
    severity: Severity = "fault"
    """Of too little room."""


SHARED_MEMORY = Path("/dev/shm")


def disk() -> Iterator[Finding]:
    yield from room(Place("the project", Path.cwd(), 2.0))
    yield from room(Place("work in flight", home(), 2.0))
    yield from room(Place("temporary files", Path(tempfile.gettempdir()), 1.0))
    if SHARED_MEMORY.is_dir():
        # Ray says so itself and goes on in /tmp, only slower.
        yield from room(Place("Ray's shared memory", SHARED_MEMORY, 1.0, "note"))


def room(place: Place) -> Iterator[Finding]:
    """Whether *place* has room, and can be written to."""
    where = f"{place.path} ({place.what})"
    folder = next(path for path in (place.path, *place.path.parents) if path.exists())
    try:
        # It has no name, and is gone with this process however that ends.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as reason:
        yield fault(f"{where} cannot be written to: {reason.strerror}", f"make {folder} writable")
        return
    free_gb, inodes = shutil.disk_usage(folder).free / 1e9, os.statvfs(folder)
    if free_gb < place.least_gb:
        text = f"{where}: {free_gb:.1f} GB free, less than {place.least_gb:.1f}"
        yield Finding(place.severity, text, f"free some of the disk that holds {folder}")
    elif inodes.f_files and inodes.f_favail < LEAST_INODES:
        yield fault(f"{where}: {inodes.f_favail} inodes free", f"remove files from the disk of {folder}")
    else:
        yield fine(f"{where}: {free_gb:.0f} GB free")


def clock() -> Iterator[Finding]:
    """Files are dated by their disk, which may be another machine's; DVC and the journals go by dates."""
    now_s = time.time()
    with tempfile.TemporaryFile(dir=Path.cwd()) as file:
        ahead_s = os.fstat(file.fileno()).st_mtime - now_s
    late = [name for name in DATED if Path(name).exists() and _is_later(Path(name), now_s)]
    if abs(ahead_s) > CLOCK_TOLERANCE_S:
        text = f"the disk's clock is {ahead_s:+.0f} s from this machine's"
        yield fault(text, "let both machines keep the time (chrony, ntpd)")
    elif late:
        yield note(f"{', '.join(late)}: from the future", f"set the clock, or 'touch {' '.join(late)}'")
    else:
        yield fine(f"clock: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


def _is_later(path: Path, now_s: float) -> bool:
    return path.stat().st_mtime > now_s + CLOCK_TOLERANCE_S


CHECKS = (disk, clock)

if __name__ == "__main__":
    examine(CHECKS, fix="--fix" in sys.argv)
