"""Starting DVC for a stage: a fork of one that is loaded already (flows/stages/fork_server.py).

A DVC takes half a second to load, and a tenth to find out what one stage needs. Only on Linux: elsewhere
forking a process that has libraries loaded is not safe, and each DVC is loaded for itself.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from flows.processes.leashes import Held, Leashes
from flows.stages.step import HEAVY
from regatta.settings.home import home, project

PATIENT_DVC = Path(__file__).with_name("patient_dvc.py")


def stage_env() -> dict[str, str]:
    """Environment of stages: this very Python first on PATH, and no output held back.

    DVC runs the command lines of dvc.yaml in a shell, where a plain `python` must mean this one.
    """
    own = str(Path(sys.executable).parent)
    return dict(os.environ) | {
        "PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "REGATTA_HOME": str(home()),
        "REGATTA_PROJECT": str(project()),
        "DVC_NO_ANALYTICS": "1",
    }


def dvc_log() -> Path:
    """Where the process that has DVC loaded says what is wrong with it."""
    return home() / "logs" / "dvc.log"


class DvcStart:
    """Starts the DVCs of one walk, each on a leash of its own among *leashes*."""

    def __init__(self, leashes: Leashes) -> None:
        self.leashes = leashes
        self._lock = threading.Lock()
        self._channels: Channels | None = None

    def load(self) -> None:
        """Begin to load DVC, for those that are started later; once is enough."""
        if sys.platform == "linux":
            with self._lock:
                self._channels = self._channels or self._loading()

    def __call__(self, arguments: Sequence[str], folder: Path) -> Held:
        """Start DVC in *folder*; stdout and stderr go to the process's `stdout`.

        Raises:
            StageFailed: all were told to end.
        """
        if sys.platform != "linux":
            # -P: what lies beside that file must not be taken for a package.
            command = [sys.executable, "-P", str(PATIENT_DVC), *arguments]
            return self.leashes.start(command, folder, stage_env())
        message = json.dumps({"arguments": list(arguments), "folder": str(folder)}).encode()
        is_heavy = arguments[-1].partition("@")[0] in HEAVY
        with self._lock:
            if self._channels is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was killed since
                    return self.leashes.hold(partial(_forked, self._channels.of(is_heavy), message))
                self._channels.close()
            self._channels = self._loading()
            return self.leashes.hold(partial(_forked, self._channels.of(is_heavy), message))

    def close(self) -> None:
        """End all that was started, and wait until it is gone; nothing can be started after."""
        self.leashes.end_all()
        with self._lock:
            if self._channels is not None:
                self._channels.close()
                self._channels = None

    def _loading(self) -> "Channels":
        """The lines to a new fork server. It takes orders from the start, and ends with the leashes."""
        dvc_log().parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as theirs, ExitStack() as undone, dvc_log().open("ab") as log:
            pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
            for our_end, their_end in pairs:
                undone.enter_context(our_end)
                theirs.enter_context(their_end)
            numbers = [their_end.fileno() for _, their_end in pairs]
            command = [sys.executable, "-m", "flows.stages.fork_server", *map(str, numbers)]
            self.leashes.start(command, Path.cwd(), stage_env(), log, numbers)
            undone.pop_all()
        return Channels(light=pairs[0][0], heavy=pairs[1][0])


@dataclass(frozen=True)
class Channels:
    """Where a fork server takes orders: it may let heavy ones wait while it loads their libraries."""

    light: socket.socket
    heavy: socket.socket

    def of(self, is_heavy: bool) -> socket.socket:
        """The one for such an order."""
        return self.heavy if is_heavy else self.light

    def close(self) -> None:
        """There will be no more orders."""
        self.light.close()
        self.heavy.close()


class Forked:
    """A DVC that was forked, seen from the process that holds its leash."""

    def __init__(self, leash: int, output: int, code: int) -> None:
        self.stdin: IO[bytes] = open(leash, "wb", buffering=0)  # noqa: SIM115
        self.stdout: IO[bytes] = open(output, "rb", buffering=0)  # noqa: SIM115
        self._code_file: IO[bytes] = open(code, "rb")  # noqa: SIM115
        self._lock = threading.Lock()
        self._code: int | None = None

    def wait(self) -> int:
        """Wait until the whole tree is gone; the exit code, -SIGKILL where the leash itself was killed."""
        with self._lock:
            if self._code is None:
                with self._code_file:
                    self._code = int(self._code_file.read() or -signal.SIGKILL)
            return self._code


def _forked(channel: socket.socket, message: bytes) -> Forked:
    with ExitStack() as theirs, ExitStack() as ours:
        files = [os.pipe() for _ in range(3)]
        (leash, our_leash), (our_output, output), (our_code, code) = files
        for file in (leash, output, code):
            theirs.callback(os.close, file)
        for file in (our_leash, our_output, our_code):
            ours.callback(os.close, file)
        socket.send_fds(channel, [message], [leash, output, code])
        ours.pop_all()
        return Forked(our_leash, our_output, our_code)
