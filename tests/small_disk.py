"""A disk of a few megabytes that a test can fill up, forbid and free again, on any machine."""

import os
import resource
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SIZE_BYTES = 8 * 2**20
NAMESPACES = (("--mount",), ("--user", "--map-root-user", "--mount"))
"""As root, and as anybody: the mount is in sight of nobody else, and gone with its holder."""
HOLDER = """
mount -t tmpfs -o size="$1" none "$2" || exit 1
echo mounted
while read -r line; do $line; echo done; done
"""


@contextmanager
def small_disk(place: Path) -> "Generator[SmallDisk]":
    """A tmpfs at *place*; where this machine lets nobody mount one, a folder under a limit on file sizes."""
    place.mkdir()
    for namespace in NAMESPACES:
        with _holder(namespace, place) as holder:
            if holder.stdout and holder.stdout.readline() == "mounted\n":
                yield _Mounted(place, holder, namespace)
                return
    limited = _Limited(place)
    try:
        yield limited
    finally:
        limited.make_room()


@contextmanager
def _holder(namespace: tuple[str, ...], place: Path) -> Generator[subprocess.Popen[str]]:
    """A process that keeps the mount until its standard input is closed: by us, or by our death."""
    command = ["unshare", *namespace, "sh", "-c", HOLDER, "sh", str(SIZE_BYTES), str(place)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:  # closes its pipes, and waits
        yield process


class SmallDisk(ABC):
    """`folder` lies on it, for this process; for those that `command` starts it is `place`."""

    is_mounted = True
    """Else no file of this process may grow, wherever it lies: an error may name another place."""

    def __init__(self, place: Path, folder: Path) -> None:
        self.place, self.folder = place, folder

    @abstractmethod
    def fill(self, leave_bytes: int = 0) -> None:
        """Take all its room but *leave_bytes*."""

    @abstractmethod
    def forbid(self) -> None:
        """Make it read-only."""

    @abstractmethod
    def make_room(self) -> None:
        """Take back `fill` and `forbid`."""

    @abstractmethod
    def command(self, *words: str) -> list[str]:
        """A command line whose process sees the disk."""


class _Mounted(SmallDisk):
    def __init__(self, place: Path, holder: subprocess.Popen[str], namespace: tuple[str, ...]) -> None:
        # The way into another process's mounts.
        super().__init__(place, Path(f"/proc/{holder.pid}/root{place}"))
        self._holder, self._has_users = holder, "--user" in namespace
        self._ballast = self.folder / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        self._ballast.unlink(missing_ok=True)
        room = os.statvfs(self.folder)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leave_bytes)

    def forbid(self) -> None:
        self._tell(f"mount -o remount,ro {self.place}")

    def make_room(self) -> None:
        self._tell(f"mount -o remount,rw {self.place}")
        self._ballast.unlink(missing_ok=True)

    def command(self, *words: str) -> list[str]:
        users = ["--user", "--preserve-credentials"] if self._has_users else []
        return ["nsenter", *users, "--mount", f"--target={self._holder.pid}", f"--wd={Path.cwd()}", *words]

    def _tell(self, line: str) -> None:
        assert self._holder.stdin and self._holder.stdout
        self._holder.stdin.write(line + "\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == "done\n"


class _Limited(SmallDisk):
    """No file of this process, nor of those it starts, may grow beyond a limit while the disk is full."""

    is_mounted = False

    def __init__(self, place: Path) -> None:
        super().__init__(place, place)

    def fill(self, leave_bytes: int = 0) -> None:
        limit_bytes = leave_bytes if leave_bytes > 2**16 else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))

    def forbid(self) -> None:
        self.fill()

    def make_room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def command(self, *words: str) -> list[str]:
        return list(words)
