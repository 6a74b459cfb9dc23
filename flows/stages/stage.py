"""One stage of the graph: DVC brings it up to date, and what it says is read line by line."""

import codecs
import os
from collections.abc import Callable
from pathlib import Path

from flows.processes.leashes import Held, StageFailed
from flows.stages.dvc_start import DvcStart

OnLine = Callable[[str, bool], None]
"""Takes a line, and whether it is only passing: a carriage return will write over it."""


def run_stage(name: str, root: Path, on_line: OnLine, dvc: DvcStart) -> None:
    """Bring stage *name* of the project at *root* up to date; DVC decides what that takes.

    Only with `--single-item` do many of these get along in one workspace: the caller brings the order.

    Raises:
        StageFailed: the stage, or DVC, ended with an error.
    """
    process = dvc(["repro", "--single-item", name], root)
    complaint = _Complaint()
    try:
        read_lines(process, lambda line, passing: (complaint.hear(line), on_line(line, passing))[1])
    finally:
        code = dvc.leashes.end(process)
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


def read_lines(process: Held, on_line: OnLine) -> None:
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
