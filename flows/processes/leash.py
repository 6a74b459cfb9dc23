"""Keeps a command and everything it starts on a leash: when the holder dies, all of it ends.

Run as a file, `python -IS leash.py COMMAND …`, with a pipe as standard input that nobody but the holder
can write to. The kernel closes that pipe whichever way the holder goes (SIGKILL too); then, or on
SIGTERM, or once the command itself has ended, whatever is left of its tree is ended: asked first,
killed after `GRACE_S`. Standard library only, for it starts before every command; a stage's leash is forked
(flows/stages/fork_server.py), and does the same by `take_hold` and `hold`.

A parent-death signal would reach the direct child only. On Linux the leash is a subreaper instead
(prctl(2), PR_SET_CHILD_SUBREAPER): orphans of the tree become its own children and stay in sight.
Elsewhere it ends the children it can see and the command's process group.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_S = 3.0
POLL_S = 0.05
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run `sys.argv[1:]`; exit with its code, or 128 + the signal that ended it, as shells do."""
    ended = take_hold()
    # What the holder handed on beside the pipe is for the command: a server's socket.
    command = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, close_fds=False
    )
    os._exit(hold(command.pid, ended))


class Flag:
    """Set by a signal."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self, *_: object) -> None:
        self._is_set = True

    def __bool__(self) -> bool:
        return self._is_set


def take_hold() -> Flag:
    """Be the leash of what this process starts from now on; the flag says when it was asked to end."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ended = Flag()
    signal.signal(signal.SIGTERM, ended.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ended


def hold(pid: int, ended: Flag) -> int:
    """Wait for the child *pid*, or until its tree has to end; its exit code once all of it is gone."""
    code = None
    while code is None and not ended and not _holder_gone():
        code = _reap(pid)
    last = _end_tree(pid)
    code = last if code is None else code
    return 128 - code if code < 0 else code


def _holder_gone() -> bool:
    """Wait a moment; true when the pipe has been closed."""
    readable, _, _ = select.select([0], [], [], POLL_S)
    return bool(readable) and os.read(0, 4096) == b""


def _reap(pid: int) -> int | None:
    """Bury the dead, adopted orphans too; the exit code of *pid* if it was among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            dead, status = os.waitpid(-1, os.WNOHANG)
            if dead == 0:
                break
            if dead == pid:
                code = os.waitstatus_to_exitcode(status)
    return code


def _end_tree(pid: int) -> int:
    """End all descendants; the exit code of *pid* (-SIGKILL when it had been buried before)."""
    kill_at_s = time.monotonic() + GRACE_S
    asked: set[int] = set()
    code: int | None = None
    while alive := descendants(os.getpid()):
        if time.monotonic() > kill_at_s:
            _send(alive, signal.SIGKILL)
        _send(alive - asked, signal.SIGTERM)
        asked |= alive
        time.sleep(POLL_S)
        ended = _reap(pid)
        code = ended if ended is not None else code
    ended = _bury_last(pid)
    code = ended if ended is not None else code
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    return -signal.SIGKILL if code is None else code


def _bury_last(pid: int) -> int | None:
    """Once none is alive, though of many threads some may take a moment; as `_reap`."""
    give_up_at_s = time.monotonic() + GRACE_S
    code = None
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < give_up_at_s:
            dead, status = os.waitpid(-1, os.WNOHANG)
            if dead == pid:
                code = os.waitstatus_to_exitcode(status)
            elif dead == 0:
                time.sleep(POLL_S / 10)
    return code


def _send(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def descendants(ancestor: int) -> set[int]:
    """Process ids below *ancestor*, as far as the chain of parents reaches."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    unseen = list(children.get(ancestor, []))
    while unseen:
        pid = unseen.pop()
        if pid not in found:
            found.add(pid)
            unseen += children.get(pid, [])
    return found


def _parents() -> list[tuple[int, int]]:
    """(process, its parent) of every process in sight that is not dead already."""
    if not Path("/proc/self/stat").exists():
        return _parents_by_ps()
    pairs: list[tuple[int, int]] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                # The name in brackets may hold spaces and brackets; the fields follow the last one.
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                pairs += [(int(entry.name), int(parent))] if state not in "ZX" else []
    return pairs


def _parents_by_ps() -> list[tuple[int, int]]:
    with subprocess.Popen(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True
    ) as listing:
        rows = [line.split() for line in listing.stdout or ()]
    return [(int(row[0]), int(row[1])) for row in rows if int(row[0]) != listing.pid and "Z" not in row[2]]


if __name__ == "__main__":
    main()
