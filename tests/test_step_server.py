"""The steps of a `dvc repro`: forked where their libraries are loaded, and ended with their DVC."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import PROJECT, mark, marked, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every step is started")

DVC = """
import os, sys, time
from flows.stages.step import Step
from flows.stages.step_server import StepServer
server = StepServer()
def run(name):
    runner = server.runner(Step(name, (), os.environ['FOLDER'], dict(os.environ)))
    print(name, runner and runner(), flush=True)
"""


def started(folder: Path, then: str, marks: dict[str, str], **steps: str) -> subprocess.Popen[str]:
    """A process that has a server for *steps*, and then does *then*."""
    (folder / "tasks").mkdir()
    (folder / "tasks" / "__init__.py").touch()
    for name, text in steps.items():
        (folder / "tasks" / f"{name}.py").write_text(text)
    env = dict(os.environ) | {"FOLDER": str(folder), "PYTHONPATH": str(PROJECT)} | marks
    command = [sys.executable, "-c", DVC + then]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_heavy_steps_are_run_one_after_the_other_and_light_ones_left_to_a_shell(tmp_path: Path) -> None:
    loaded = "import os, sys\nprint('torch' in sys.modules, 'regatta' in sys.modules, flush=True)\n"
    ends = {"train": loaded, "track": loaded + "sys.exit(3)", "build": loaded + "os.kill(os.getpid(), 9)"}
    then = "run('check'); run('train'); run('track'); run('build'); run('train'); server.close()"
    marks = mark()
    with started(tmp_path, then, marks, **ends) as process:
        said, complaint = process.communicate(timeout=60)
    heavy = ["train 0", "track 3", "build -9", "train 0"]
    assert said.splitlines() == ["check None", *(line for end in heavy for line in ("True False", end))]
    assert not complaint and not marked(marks)


KILL = "os.kill(server._pid, 9); "


def test_a_server_that_is_killed_is_a_step_that_was_killed_and_none_of_the_next(tmp_path: Path) -> None:
    then = f"run('train'); {KILL} run('train'); run('train')"
    with started(tmp_path, then, {}, train="") as process:
        said, complaint = process.communicate(timeout=60)
    assert said.splitlines() == ["train 0", f"train {-signal.SIGKILL}", "train None"]
    assert not complaint


def test_one_that_is_killed_while_it_loads_leaves_steps_to_a_shell(tmp_path: Path) -> None:
    with started(tmp_path, f"run('check'); {KILL} run('train')", {}, train="") as process:
        said, complaint = process.communicate(timeout=60)
    assert said.splitlines() == ["check None", "train None"]
    assert not complaint


def test_a_fork_that_fails_fails_one_step_with_a_line_and_the_next_hears_ctrl_c(tmp_path: Path) -> None:
    # The server's second fork is refused, as the system does where there are too many processes.
    refusing = """
fork, left = os.fork, [True, True, False]
def refused():
    if left and not left.pop(0):
        raise BlockingIOError(11, 'Resource temporarily unavailable')
    return fork()
os.fork = refused
server = StepServer()
run('train'); run('train'); run('train')
"""
    heard = "import signal\nprint(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []), flush=True)"
    with started(tmp_path, refusing, {}, train=heard) as process:
        said, complaint = process.communicate(timeout=60)
    assert said.splitlines() == ["False", "train 0", "train 1", "False", "train 0"]
    [line] = complaint.splitlines()
    assert line.startswith("error: cannot start a step: ")


def test_ctrl_c_while_libraries_are_loaded_is_for_the_dvc(tmp_path: Path) -> None:
    marks = mark()
    with started(tmp_path, "run('check'); run('train')", marks, train="print('run')") as process:
        assert process.stdout and process.stdout.readline() == "check None\n"
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=60)
    assert not said and complaint.endswith("KeyboardInterrupt\n")
    wait_until(lambda: not marked(marks), 10)


def test_libraries_leave_the_environment_as_it_was(tmp_path: Path) -> None:
    then = "from flows.stages.step_server import load_libraries"
    then += "; before = dict(os.environ); loaded = load_libraries()"
    then += "; print(loaded, {*os.environ.items()} ^ {*before.items()}, 'mlflow' in sys.modules)"
    with started(tmp_path, then, {}) as process:
        said, complaint = process.communicate(timeout=60)
    assert (said, complaint) == ("True set() True\n", "")


@pytest.mark.parametrize("then", ["run('check'); os.kill(os.getpid(), 9)", "run('train')"])
def test_all_ends_with_the_dvc_though_it_be_killed(tmp_path: Path, then: str) -> None:
    marks = mark()
    step = "import os, time\nfrom regatta.orphans import end_with_parent\nend_with_parent()\n"
    step += "open(os.environ['FOLDER'] + '/running', 'w').close()\ntime.sleep(600)\n"
    with started(tmp_path, then, marks, train=step) as process:
        wait_until(lambda: (tmp_path / "running").exists() or process.poll() is not None, 60)
        process.kill()
        wait_until(lambda: not marked(marks), 10)
