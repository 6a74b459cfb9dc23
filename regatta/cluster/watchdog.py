"""Ends a worker that no longer gets anywhere, and says where it stood.

Every worker has a watchdog: a small process of its own, so that it also sees a worker that was stopped
by a signal, or that waits in C for a collective that never returns. A pipe joins the two. The worker
writes a byte now and then; when none came for `timeout_s`, the watchdog asks for the Python stack of
every thread (faulthandler, which needs no interpreter that still turns), and kills the worker. That is
a failure like any other: the workers are started again from the last checkpoint. When a worker ends by
itself, the kernel closes the pipe, and the watchdog goes with it.

Run as a file, `python -IS watchdog.py PID TIMEOUT_S`: standard library only, for it starts with each worker.
"""

import contextlib
import faulthandler
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

BEAT_EVERY_S = 0.5
LOOKS = 100
"""Silence is counted in looks, and not by a clock, which goes on while all of us are stopped (Ctrl-Z)."""
NEIGHBOURS_S = 1.5
"""How long a stopped worker is left asleep: woken, it would let its neighbours get on, and their watchdogs,
which count to the same end, would not say where they waited."""
STACK_S = 0.5
"""How long a hung worker has for writing its stacks."""
LAST_S = 2.5
"""How long it is kept before it is killed: its neighbours, who wait for it, are about to say where they wait,
and would be ended with it."""


@contextmanager
def watched(timeout_s: float, who: str) -> Generator[Callable[[], None], None, None]:
    """A function to call whenever this process got further; silence begins to count at its first call.

    After *timeout_s* without a call (0 is for ever) all stacks go to stderr, and the process is killed.
    """
    if timeout_s == 0:
        yield lambda: None
        return
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    command = [sys.executable, "-IS", __file__, str(os.getpid()), str(timeout_s), who]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as dog:
        assert dog.stdin is not None
        try:
            yield _beat_into(dog.stdin.fileno())
        finally:
            dog.stdin.close()


def _beat_into(pipe: int) -> Callable[[], None]:
    beaten_s = 0.0

    def beat() -> None:
        nonlocal beaten_s
        now_s = time.monotonic()
        if now_s - beaten_s >= BEAT_EVERY_S:  # A system call for each step would be felt by small networks.
            beaten_s = now_s
            with contextlib.suppress(OSError):  # Work goes on without its watchdog.
                os.write(pipe, b".")

    return beat


def main() -> None:
    """Listen to stdin; the worker's process id, the longest silence and the worker's name are arguments."""
    pid, timeout_s, who = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's affair.
    silent_looks = -math.inf  # Until the first beat the worker is still being set up.
    while silent_looks < LOOKS:
        heard, _, _ = select.select([0], [], [], timeout_s / LOOKS)
        if heard and not os.read(0, 4096):
            return
        silent_looks = 0 if heard else silent_looks + 1
    _end(pid, timeout_s, who)


def _end(pid: int, timeout_s: float, who: str) -> None:
    line = f"error: {who} hangs: no step for {timeout_s:g} s (hang_timeout_s); stacks follow, it is killed"
    print(line, file=sys.stderr, flush=True)
    if _is_stopped(pid):
        time.sleep(NEIGHBOURS_S)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGCONT)  # A stopped process wakes to the signal before, and writes first.
        time.sleep(STACK_S)
        os.kill(pid, signal.SIGSTOP)  # It is not to go on while nobody expects it to.
        time.sleep(LAST_S)
        os.kill(pid, signal.SIGKILL)


def _is_stopped(pid: int) -> bool:
    """As far as the system tells."""
    with contextlib.suppress(OSError):
        # The name in brackets may hold spaces and brackets; the state follows the last one.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"
    return False


if __name__ == "__main__":
    main()
