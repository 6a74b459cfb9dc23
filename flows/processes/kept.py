"""A server that its holder starts again when it dies."""

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.processes.leashes import Leashes
from regatta.errors import RegattaError

TOO_SOON_S = 10.0
EARLY_ENDS = 3
"""A server that ended so often in a row, each time this soon after its start, would only end again."""


class Kept:
    """A server on a leash. Its command names its place and its files, so that the next one takes them over.

    A *listener* is a socket of the caller's that the server is handed, under the same number.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        leashes: Leashes,
        listener: socket.socket | None = None,
    ) -> None:
        self.name = name
        self._command = command
        self._env = env
        self.log = log
        self._leashes = leashes
        self._handed = (listener.fileno(),) if listener else ()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        self._early_ends = 0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_at_s = time.monotonic()
        with self.log.open("ab") as output:
            return self._leashes.start(self._command, Path.cwd(), self._env, output, self._handed)

    @property
    def has_ended(self) -> bool:
        """It is no longer there, though nobody called `end`."""
        return self._process.poll() is not None

    def check(self) -> None:
        """Raise RegattaError when the server has ended."""
        if self.has_ended:
            raise RegattaError(f"{self.log}: {self.name} has ended by itself; its last lines say why")

    def start_again(self) -> None:
        """Start it in the place of the one that has ended.

        Raises:
            RegattaError: it only ends again.
        """
        was_early = time.monotonic() - self._started_at_s < TOO_SOON_S
        self._early_ends = self._early_ends + 1 if was_early else 0
        if self._early_ends >= EARLY_ENDS:
            self.check()
        self._leashes.end(self._process)
        self._process = self._start()

    def end(self) -> None:
        """End it, and wait until it has."""
        self._leashes.end(self._process)
