"""The steps of a `dvc repro`: forks of a child of it, which loads their libraries while the first ones run.

DVC's child loads nothing before DVC has a step to run: where all is up to date it costs a fork. Light steps
are left to a shell, as ever. A heavy one would import the same, so that it waits for what is left to load. It
is the child's child, and ends with that as it would with DVC (regatta/orphans.py); the child ends with DVC.
"""

import ctypes
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from flows.step import Step, be_ordered

ROOT = str(Path(__file__).parent.parent)
PR_SET_PDEATHSIG = 1
LOAD = b"\n"
"""The order to load what steps import, and nothing else."""


class StepServer:
    """A child of this process that runs steps, one after the other, and ends with this process."""

    def __init__(self) -> None:
        order_source, orders = os.pipe()
        answer_source, answers = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(orders)
            os.close(answer_source)
            _serve(order_source, answers, parent)
        os.close(order_source)
        os.close(answers)
        self._orders, self._answers = os.fdopen(orders, "wb", buffering=0), os.fdopen(answer_source, "rb")

    def run(self, step: Step) -> int | None:
        """Run a heavy *step*; its exit code, or minus the signal that ended it. None: left to a shell."""
        with suppress(BrokenPipeError):  # It was killed: there is no answer.
            self._orders.write(step.order(self._pid) if step.is_heavy else LOAD)
        return int(self._answers.readline() or -signal.SIGKILL) if step.is_heavy else None

    def close(self) -> None:
        """End it, whatever it is at."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _serve(orders: int, answers: int, parent: int) -> NoReturn:
    """The whole life of the child."""
    try:
        _end_with(parent)
        is_deaf = signal.signal(signal.SIGINT, signal.SIG_IGN) is signal.SIG_IGN
        with os.fdopen(orders, "rb") as source, os.fdopen(answers, "wb", buffering=0) as said:
            for number, order in enumerate(source):
                if number == 0:
                    load_libraries()
                if order != LOAD:
                    said.write(f"{_run(order, is_deaf)}\n".encode())
    finally:
        os._exit(0)


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its *parent* does; prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def load_libraries() -> bool:
    """Import what steps import; false where that cannot be done, and each step will say why."""
    sys.path.insert(0, ROOT)
    try:
        from tasks.libraries import LOADED as libraries
    except Exception:
        traceback.print_exc()
        return False
    finally:
        sys.path.remove(ROOT)
    return bool(libraries)


def _run(order: bytes, is_deaf: bool) -> int:
    pid = os.fork()
    if pid == 0:
        if not is_deaf:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        be_ordered(order)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
