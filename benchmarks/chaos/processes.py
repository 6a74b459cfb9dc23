"""Everything that a trial has running: found by a mark in its environment, and as children of the found."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

import psutil

MARK = "CHAOS_TRIAL"
LOOK_EVERY_S = 0.5
NAME_LENGTH = 15
"""So many letters of a name does Linux keep."""


class Watch:
    """The processes of one trial, all that it ever had: some of them lose their mark, or their parent.

    (Ray's workers write their title over their environment.)
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._seen: dict[int, psutil.Process] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        kill(self.alive())

    def _keep_looking(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.alive()

    def alive(self) -> list[psutil.Process]:
        """The trial's processes that live now."""
        with self._lock:
            ours = [process for process in psutil.process_iter() if self._is_ours(process)]
            self._seen |= {process.pid: process for process in ours}
            return [process for process in self._seen.values() if lives(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        known = self._seen.get(process.pid)
        if known is not None and known == process:
            return True
        with contextlib.suppress(psutil.Error, OSError):
            parent = self._seen.get(process.ppid())
            if parent is not None and parent.is_running():
                return True
            return process.environ().get(MARK) == self._mark
        return False


def lives(process: psutil.Process) -> bool:
    """Whether it runs, and is not only waiting to be buried."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL to each."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def having(argument: str) -> Callable[[psutil.Process], bool]:
    """Whether a process was started with this argument, and does not only keep another one that was.

    A step that was forked has its module for a name.
    """

    def has(process: psutil.Process) -> bool:
        words = command(process)
        named = argument in words or name(process) == argument[:NAME_LENGTH]
        return named and not any(word.endswith("leash.py") for word in words)

    return has


def name(process: psutil.Process) -> str:
    """What the kernel calls it; nothing when the process is gone."""
    with contextlib.suppress(psutil.Error):
        return process.name()
    return ""


def command(process: psutil.Process) -> list[str]:
    """The command line; nothing when the process is gone."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
