"""One stage of the graph: DVC brings it up to date, and what it says is read line by line."""

from pathlib import Path

from flows.processes.leashes import StageFailed
from flows.processes.lines import OnLine, read_lines
from flows.stages.dvc_start import DvcStart, dvc_log


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
        raise StageFailed(f"{name}: {complaint.last or _end(code)}")


def _end(code: int) -> str:
    # Killed, or never begun: who forks DVCs may know more (flows/stages/fork_server.py).
    hint = f"; the last lines of {dvc_log()} may say why" if code < 0 else ""
    return f"ended with exit code {code}{hint}"


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
