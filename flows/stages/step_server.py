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
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from flows.stages.step import Step, be_ordered

ROOT = str(Path(__file__).parents[2])
PR_SET_PDEATHSIG = 1
LOAD, LOADED = b"load\n", b"loaded\n"


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
        self._was_asked = self._is_up = False

    def runner(self, step: Step) -> Callable[[], int] | None:
        """What runs a heavy *step*, once the libraries are loaded; none where they cannot be."""
        if not self._was_asked:
            self._was_asked = True
            self._order(LOAD)
        if step.is_heavy and not self._is_up:
            self._is_up = self._answers.readline() == LOADED
        return partial(self._run, step) if step.is_heavy and self._is_up else None

    def _run(self, step: Step) -> int:
        self._order(step.order(self._pid))
        answer = self._answers.readline()
        self._is_up = bool(answer)
        return int(answer or -signal.SIGKILL)

    def _order(self, order: bytes) -> None:
        with suppress(BrokenPipeError):  # It was killed: there will be no answer.
            self._orders.write(order)

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
            if source.readline() == LOAD and load_libraries():
                said.write(LOADED)
                for order in source:
                    said.write(f"{_run(order, is_deaf)}\n".encode())
    finally:
        os._exit(0)


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its *parent* does; prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def load_libraries() -> bool:
    """Import what steps import; false where that cannot be done, and each step will say why.

    What some of them do to the environment is undone: it is not only theirs.
    """
    environment = dict(os.environ)
    sys.path.insert(0, ROOT)
    try:
        from tasks.libraries import LOADED as libraries
    except Exception:
        traceback.print_exc()
        return False
    finally:
        sys.path.remove(ROOT)
        os.environ.clear()
        os.environ.update(environment)
    return bool(libraries)


def _run(order: bytes, is_deaf: bool) -> int:
    """Fork the step: a Ctrl-C from now on is for it, and waits until it can hear."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pid = os.fork()
        if pid == 0 and not is_deaf:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    except OSError as fault:
        said = f"error: cannot start a step: {fault}: end other processes, then run the command again"
        print(said, file=sys.stderr, flush=True)
        return 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid == 0:
        be_ordered(order)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
