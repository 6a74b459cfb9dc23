"""`python -m tests.killed_sync PROBLEM N…`: syncs one after the other, the i-th killed at its N-th step.

A step is a file opened, renamed or removed, or an SQL statement. 0 kills nobody. Prints one line for
each sync: its exit code and the steps it took. MLflow is imported once and no database is open here, so
that a sync costs no more than a fork.
"""

import os
import signal
import sys

from sqlalchemy import event
from sqlalchemy.engine import Engine

import regatta.tracking.sync  # noqa: F401
from tasks import track

STEPS = ("open", "os.remove", "os.rename", "os.mkdir", "sqlalchemy")


def sync_until(problem: str, last_step: int) -> None:
    """`python -m tasks.track PROBLEM`, which ends by SIGKILL at its *last_step*."""
    steps = 0

    def step(name: str, *_: object) -> None:
        nonlocal steps
        if name in STEPS:
            steps += 1
            if steps == last_step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    event.listen(Engine, "after_cursor_execute", lambda *_: step("sqlalchemy"))
    track.main([problem])
    os.write(1, f"{steps} steps\n".encode())


def main() -> None:
    problem, *last_steps = sys.argv[1:]
    for last_step in map(int, last_steps):
        child = os.fork()
        if child == 0:
            sync_until(problem, last_step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(f"exit code {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
