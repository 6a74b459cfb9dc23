"""A fault that a person can mend, handed from a worker to the driver: Ray would try again in vain.

The line goes over a file of the run's folder whose space was taken beforehand: the fault may be a full disk.
"""

from pathlib import Path

from regatta.whole import named

ROOM_BYTES = 4096


def make_room_for_fault(folder: Path) -> None:
    """Forget the fault of an earlier attempt, and take the space for one."""
    with named(_file(folder)):
        _file(folder).write_bytes(b" " * ROOM_BYTES)


def hand_over(folder: Path, line: str) -> None:
    """Leave *line* for the driver."""
    with _file(folder).open("r+b") as file:
        file.write(line.encode()[:ROOM_BYTES])


def fault_in(folder: Path) -> str | None:
    """The line that a worker has left, if any did."""
    return _file(folder).read_text(encoding="utf-8", errors="replace").strip() or None


def _file(folder: Path) -> Path:
    return folder / "fault.txt"
