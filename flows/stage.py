"""One stage of the graph as a process of its own, and its output line by line."""

import codecs
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from flows import leash
from regatta.errors import RegattaError
from regatta.settings.home import home

PATIENT_DVC = Path(__file__).with_name("patient_dvc.py")
OnLine = Callable[[str, bool], None]
"""Takes a line, and whether it is only passing: a carriage return will write over it."""


class StageFailed(RegattaError):
    """A stage ended with an error. The message is the stage's name and its own last word on it."""


class Leashes:
    """The processes that a flow has running; `end_all` ends them and everything they started."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
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
        with self._lock:
            if self.ended:
                raise StageFailed("the flow is ending; nothing more is started")
            process = subprocess.Popen(
                [sys.executable, "-IS", leash.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=output or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=env,
                start_new_session=True,
                pass_fds=handed,
            )
            self._running.add(process)
            return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Let go of one process and wait until its whole tree is gone; its exit code."""
        if process.stdin:
            process.stdin.close()
        code = process.wait()
        if process.stdout:
            process.stdout.close()
        with self._lock:
            self._running.discard(process)
        return code

    def end_all(self, wait: bool = False) -> None:
        """Let go of all, so that those who read their output see it end; nothing can be started after.

        With *wait*, come back when all trees are gone.
        """
        with self._lock:
            self.ended = True
            running = list(self._running)
        for process in running:
            if process.stdin:
                process.stdin.close()
        for process in running if wait else ():
            process.wait()


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
        "DVC_NO_ANALYTICS": "1",
    }


def run_stage(name: str, root: Path, on_line: OnLine, leashes: Leashes) -> None:
    """Bring stage *name* of the project at *root* up to date; DVC decides what that takes.

    Only with `--single-item` do many of these get along in one workspace: the caller brings the order.

    Raises:
        StageFailed: the stage, or DVC, ended with an error.
    """
    # -P: what lies beside that file must not be taken for a package.
    command = [sys.executable, "-P", str(PATIENT_DVC), "repro", "--single-item", name]
    process = leashes.start(command, root, stage_env())
    complaint = _Complaint()
    try:
        read_lines(process, lambda line, passing: (complaint.hear(line), on_line(line, passing))[1])
    finally:
        code = leashes.end(process)
    if code != 0:
        raise StageFailed(f"{name}: {complaint.last or f'ended with exit code {code}'}")


class _Complaint:
    """What a failing stage says last: its own `error: …` line, else DVC's `ERROR: …`."""

    def __init__(self) -> None:
        self._own = ""
        self._dvc = ""

    def hear(self, line: str) -> None:
        if line.startswith("error: "):
            self._own = line.removeprefix("error: ")
        elif line.startswith("ERROR: "):
            self._dvc = line.removeprefix("ERROR: ")

    @property
    def last(self) -> str:
        return self._own or self._dvc


def read_lines(process: subprocess.Popen[bytes], on_line: OnLine) -> None:
    """Hand each line of the process's output to *on_line* as it comes, until there is no more."""
    assert process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := os.read(process.stdout.fileno(), 65536):
        *lines, rest = (rest + decoder.decode(chunk)).replace("\r\n", "\n").split("\n")
        for line in lines:
            on_line(line.rpartition("\r")[2], False)
        rest = _show_passing(rest, on_line)
    if rest := (rest + decoder.decode(b"", final=True)).rstrip("\r"):
        on_line(rest.rpartition("\r")[2], False)


def _show_passing(rest: str, on_line: OnLine) -> str:
    """A line that is being written over: show its state so far, keep only what may still matter."""
    before, mark, after = rest.rpartition("\r")
    # A last "\r" may be the first half of "\r\n", so the text before it is kept until more comes.
    shown = before.rpartition("\r")[2] if mark and not after else after
    if mark and shown:
        on_line(shown, True)
    return shown + "\r" if mark and not after else after
