"""The processes that one flow, or one command, has running: all of them end with it."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, TypeVar

from flows.processes import leash
from regatta.errors import RegattaError


class StageFailed(RegattaError):
    """A stage ended with an error. The message is the stage's name and its own last word on it."""


class Held(Protocol):
    """A process on a leash."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The leash: once it is closed, the process and all that it started end."""
        ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    def wait(self) -> int:
        """Wait until the whole tree is gone; the exit code."""
        ...


Some = TypeVar("Some", bound=Held)


class Leashes:
    """The processes that a flow has running; `end_all` ends them and everything they started."""

    def __init__(self) -> None:
        self._running: set[Held] = set()
        self._lock = threading.Lock()
        self.ended = False

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        output: IO[bytes] | None = None,
        handed: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start *command* in *folder*; its stdout and stderr go to *output*, else to the process's `stdout`.

        The open files *handed* to it keep their numbers.

        Raises:
            StageFailed: all were told to end.
        """
        return self.hold(
            lambda: subprocess.Popen(
                [sys.executable, "-IS", leash.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=output or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=env,
                start_new_session=True,
                pass_fds=handed,
            )
        )

    def hold(self, start: Callable[[], Some]) -> Some:
        """The process that *start* starts on a leash, from now on among those that end.

        Raises:
            StageFailed: all were told to end.
        """
        with self._lock:
            if self.ended:
                raise StageFailed("the flow is ending; nothing more is started")
            process = start()
            self._running.add(process)
            return process

    def end(self, process: Held) -> int:
        """Let go of one process and wait until its whole tree is gone; its exit code."""
        if process.stdin:
            process.stdin.close()
        code = process.wait()
        if process.stdout:
            process.stdout.close()
        with self._lock:
            self._running.discard(process)
        return code

    def end_all(self) -> None:
        """Let go of all, and wait until their trees are gone; nothing can be started after."""
        with self._lock:
            self.ended = True
            running = list(self._running)
        for process in running:
            if process.stdin:
                process.stdin.close()
        for process in running:
            process.wait()
