"""What a process says, line by line, as it says it."""

import codecs
import os
from collections.abc import Callable

from flows.processes.leashes import Held

OnLine = Callable[[str, bool], None]
"""Takes a line, and whether it is only passing: a carriage return will write over it."""


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
