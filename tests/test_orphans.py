"""No stage outlives the DVC that runs it: `dvc repro` killed, ended and interrupted, with real training."""

import hashlib
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import copy_project
from tests.toy import mark, marked, wait_until

BIN = Path(sys.executable).parent
TRAIN = "train@softmax-digits"
RUN = {"problem": "classification", "dataset": "digits", "family": "softmax", "epochs": 120}


def environment(**more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("REGATTA_HOME", "PYTHONPATH")}
    return inherited | {"PATH": f"{BIN}:{os.environ['PATH']}", "DO_NOT_TRACK": "1"} | more


def repro(project: Path, **env: str) -> str:
    """An undisturbed `dvc repro` of the training; its output."""
    done = subprocess.run(
        [str(BIN / "dvc"), "repro", TRAIN],
        cwd=project,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def digest(project: Path) -> str:
    folder = project / "trained/softmax-digits"
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(folder.iterdir()))).hexdigest()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A project with one run, trained."""
    project = copy_project(tmp_path_factory.mktemp("orphans"))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params |= {"problems": ["classification"], "datasets": ["digits"], "runs": {"softmax-digits": RUN}}
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    repro(project)
    yield project


@pytest.fixture
def undone(project: Path) -> Path:
    """The project before its training: neither dvc.lock nor the cache remember one, and none is kept."""
    shutil.rmtree(project / ".dvc/cache/runs")
    shutil.rmtree(project / ".regatta/finished", ignore_errors=True)
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    lock["stages"].pop(TRAIN, None)
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    return project


def is_training(project: Path) -> bool:
    journals = list((project / ".regatta/runs").glob("*/journal.jsonl"))
    return bool(journals) and len(journals[0].read_text().splitlines()) > 40


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("how", "shell"), [(signal.SIGKILL, "/bin/sh"), (signal.SIGTERM, "/bin/bash")])
def test_a_killed_dvc_takes_its_stage_along(how: signal.Signals, shell: str, undone: Path) -> None:
    wanted, env = digest(undone), mark() | {"SHELL": shell}
    with (undone / "said").open("w") as said:
        command = [str(BIN / "dvc"), "repro", TRAIN]
        dvc = subprocess.Popen(command, cwd=undone, env=environment(**env), stdout=said, stderr=said)
        wait_until(lambda: is_training(undone) or dvc.poll() is not None, 120)
        assert dvc.poll() is None, (undone / "said").read_text()
        assert len(marked(env)) >= 2
        dvc.send_signal(how)
        wait_until(lambda: not marked(env), 10)
        dvc.wait()
    assert not (undone / "trained/softmax-digits").exists()
    repro(undone, **env)
    assert digest(undone) == wanted
    assert not marked(env)


@pytest.mark.timeout(600)
def test_ctrl_c_in_a_terminal_ends_all_in_one_line(undone: Path) -> None:
    wanted, env = digest(undone), mark()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(undone)
        os.execve(BIN / "dvc", ["dvc", "repro", TRAIN], environment(**env))
    said = bytearray()
    wait_until(lambda: said.extend(os.read(terminal, 65536)) or is_training(undone), 120)
    os.write(terminal, b"\x03")
    while chunk := read(terminal):
        said += chunk
    wait_until(lambda: not marked(env), 10)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    assert b"Traceback" not in said, said.decode()
    assert b"interrupted" in said
    repro(undone, **env)
    assert digest(undone) == wanted


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has it open any more
        return b""


WATCHING = """
import os, subprocess, sys, time
if len(sys.argv) > 1:
    from regatta.orphans import end_with_parent
    end_with_parent()
    print("watching", os.getpid(), flush=True)
    time.sleep(600)
parent = os.environ.pop("PARENT")
more = {"REGATTA_PARENT": parent or str(os.getpid())} if parent != "none" else {}
subprocess.Popen([sys.executable, sys.argv[0], "child"], env=os.environ | more)
time.sleep(600)
"""


def watched(folder: Path, parent: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A process with a child that was told that *parent* is its own ("" for the truth)."""
    (folder / "watching.py").write_text(WATCHING)
    env = mark() | {"PARENT": parent, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(folder / "watching.py")]
    return subprocess.Popen(command, env=environment(**env), stdout=subprocess.PIPE, text=True), env


def test_a_child_ends_with_the_parent_it_was_told_of(tmp_path: Path) -> None:
    process, env = watched(tmp_path, "")
    assert process.stdout and process.stdout.readline().startswith("watching")
    process.kill()
    wait_until(lambda: not marked(env), 10)
    process.communicate()


def test_a_child_whose_parent_was_gone_before_it_began_ends_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])  # not 1, whose child it would be once its true parent is killed
    gone.wait()
    process, _ = watched(tmp_path, str(gone.pid))
    parent = psutil.Process(process.pid)
    try:
        wait_until(lambda: [child.status() for child in parent.children()] == [psutil.STATUS_ZOMBIE], 20)
    finally:
        for one in [*parent.children(), parent]:
            one.kill()
    assert process.communicate()[0] == ""


def test_a_step_started_by_hand_outlives_its_shell(tmp_path: Path) -> None:
    process, env = watched(tmp_path, "none")
    assert process.stdout
    child = int(process.stdout.readline().removeprefix("watching "))
    try:
        process.kill()
        process.wait()
        with pytest.raises(AssertionError, match="did not happen"):
            wait_until(lambda: not marked(env), 2)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()
