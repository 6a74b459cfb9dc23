"""Work in forked processes: answers in order, faults as they were, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from regatta.errors import RegattaError
from regatta.packed.processes import in_order
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def nobody_left_behind() -> Iterator[None]:
    """Other tests of this process may have children of their own."""
    before = set(psutil.Process().children())
    yield
    assert set(psutil.Process().children()) <= before


def test_answers_come_in_order_from_other_processes() -> None:
    answers = list(in_order(lambda number: (number, os.getpid()), range(5, 25), 3))
    assert [number for number, _ in answers] == list(range(5, 25))
    processes = {process for _, process in answers}
    assert len(processes) == 3 and os.getpid() not in processes


def test_one_process_is_this_one() -> None:
    assert set(in_order(lambda number: os.getpid(), range(3), 1)) == {os.getpid()}
    assert list(in_order(lambda number: os.getpid(), range(1), 8)) == [os.getpid()]
    assert list(in_order(lambda number: number, range(0), 8)) == []


def test_a_fault_comes_as_it_was_raised() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise OSError(28, "No space left on device", "images.npy")
        return number

    answers = in_order(work, range(9), 2)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="No space") as fault:
        next(answers)
    assert (fault.value.errno, fault.value.filename) == (28, "images.npy")


def test_a_killed_process_is_one_line() -> None:
    def work(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(RegattaError, match="was killed: free some memory"):
        list(in_order(work, range(9), 2))


SLOW = """
import time
from regatta.packed.processes import in_order

def work(number):
    time.sleep(0.05)
    return number

for number in in_order(work, range(10_000), 2):
    print(number, flush=True)
"""


def test_processes_end_soon_after_their_parent_was_killed(tmp_path: Path) -> None:
    command, environment = [sys.executable, "-c", SLOW], os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        (tmp_path / "stderr").open("wb") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors) as parent,
    ):
        assert parent.stdout and parent.stdout.readline() == b"0\n"
        children = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(children) == 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert (tmp_path / "stderr").read_bytes() == b""


def test_leaving_early_ends_the_processes() -> None:
    answers = in_order(lambda number: time.sleep(0.01) or number, range(10_000), 2)
    assert next(answers) == 0
    answers.close()
