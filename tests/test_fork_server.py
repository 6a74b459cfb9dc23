"""DVC forked for each stage: what it says and ends with, and that nothing of it is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from flows.processes.leashes import Held, Leashes, StageFailed
from flows.processes.lines import read_lines
from flows.stages.dvc_start import DvcStart
from flows.stages.stage import run_stage
from tests.toy import PROJECT, make_toy, mark, marked, toy_env, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere DVC is started, and not forked")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "toy")


@pytest.fixture
def dvc(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[DvcStart]:
    monkeypatch.setenv("TOY_PLAY", str(toy / "play"))
    monkeypatch.setenv("REGATTA_HOME", str(toy / ".regatta"))
    with closing(DvcStart(Leashes())) as starts:
        yield starts


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A mark on all that is started from now on."""
    marks = mark()
    for name, value in marks.items():
        monkeypatch.setenv(name, value)
    return marks


def said(dvc: DvcStart, toy: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a DVC."""
    lines: list[str] = []
    process = dvc(arguments, toy)
    read_lines(process, lambda line, _: lines.append(line))
    return dvc.leashes.end(process), "\n".join(lines)


def hanging(dvc: DvcStart, toy: Path) -> Held:
    """A DVC whose stage goes on for ever, with a stubborn grandchild in a session of its own."""
    (toy / "play" / "download-d.hang").touch()
    process = dvc(["repro", "--single-item", "download@d"], toy)
    wait_until((toy / "play" / "download-d.hanging").exists)
    return process


def server() -> psutil.Process:
    """The fork server of this test: the only child of its leash."""
    own = psutil.Process().children()
    [leash] = [process for process in own if "flows.stages.fork_server" in process.cmdline()]
    [found] = [child for child in leash.children() if "flows.stages.fork_server" in child.cmdline()]
    return found


def test_a_stage_is_run_and_the_next_one_finds_it_done(dvc: DvcStart, toy: Path) -> None:
    lines: list[str] = []
    run_stage("download@d", toy, lambda line, _: lines.append(line), dvc)
    assert "epoch 1/1 download d" in lines and (toy / "data/raw/d").exists()
    code, text = said(dvc, toy, "repro", "--single-item", "download@d")
    assert code == 0 and "didn't change" in text


def test_a_failed_stage_says_its_own_last_word(dvc: DvcStart, toy: Path) -> None:
    (toy / "play" / "download-d.fail").write_text("1")
    lines: list[str] = []
    with pytest.raises(StageFailed, match=r"^download@d: d is broken on purpose$"):
        run_stage("download@d", toy, lambda line, _: lines.append(line), dvc)
    assert "epoch 1/1 download d" in lines


def test_what_dvc_itself_refuses_is_its_line_and_its_code(dvc: DvcStart, toy: Path) -> None:
    code, text = said(dvc, toy, "repro", "--single-item", "nothing@here")
    assert code == 255 and "ERROR: " in text and "nothing@here" in text


def test_each_has_its_own_folder_and_output(dvc: DvcStart, toy: Path, tmp_path: Path) -> None:
    other = make_toy(tmp_path / "other")
    both = [dvc(["root"], folder) for folder in (toy, other)]
    assert [process.stdout.read().strip() for process in both if process.stdout] == [b".", b"."]
    assert [dvc.leashes.end(process) for process in both] == [0, 0]


def test_one_that_is_let_go_of_ends_with_its_whole_tree(
    dvc: DvcStart, toy: Path, marks: dict[str, str]
) -> None:
    process = hanging(dvc, toy)
    assert dvc.leashes.end(process) == 128 + signal.SIGTERM
    assert all("flows.stages.fork_server" in line for line in marked(marks))
    assert len(marked(marks)) == 2  # the server and its leash


def test_a_killed_server_takes_its_stage_with_it_and_the_next_one_has_another(
    dvc: DvcStart, toy: Path, marks: dict[str, str]
) -> None:
    process = hanging(dvc, toy)
    server().kill()
    assert dvc.leashes.end(process) != 0
    wait_until(lambda: not marked(marks))
    (toy / "play" / "download-d.hang").unlink()
    run_stage("download@d", toy, lambda *_: None, dvc)
    assert (toy / "data/raw/d").exists()


def test_a_killed_leash_is_a_failed_stage_of_which_nothing_is_left(
    dvc: DvcStart, toy: Path, marks: dict[str, str]
) -> None:
    process = hanging(dvc, toy)
    [leash] = server().children()
    leash.kill()
    assert dvc.leashes.end(process) == -signal.SIGKILL
    dvc.close()
    assert not marked(marks)


def test_all_ends_with_the_holder_even_by_sigkill(toy: Path) -> None:
    env = mark()
    (toy / "play" / "download-d.hang").touch()
    holder = "import time; from pathlib import Path; from flows.processes.leashes import Leashes\n"
    holder += "from flows.stages.dvc_start import DvcStart\n"
    holder += "dvc = DvcStart(Leashes())\n"
    holder += f"dvc(['repro', '--single-item', 'download@d'], Path({str(toy)!r}))\n"
    holder += "time.sleep(600)"
    everything = toy_env(toy, REGATTA_HOME=str(toy / ".regatta"), **env)
    with subprocess.Popen([sys.executable, "-c", holder], cwd=PROJECT, env=everything) as process:
        wait_until((toy / "play" / "download-d.hanging").exists)
        process.kill()
    wait_until(lambda: not marked(env), 10)


def test_elsewhere_each_dvc_is_loaded_for_itself(
    dvc: DvcStart, toy: Path, marks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    process = hanging(dvc, toy)
    commands = marked(marks)
    assert dvc.leashes.end(process) == 128 + signal.SIGTERM
    assert not any("flows.stages.fork_server" in line for line in commands)
    assert not marked(marks)


def test_what_is_forked_costs_what_is_counted(dvc: DvcStart, toy: Path) -> None:
    assert said(dvc, toy, "repro", "--single-item", "download@d")[0] == 0
    before_s = os.times().children_user
    dvc.close()
    assert os.times().children_user - before_s > 0.2  # loading DVC, and the stage's Python


def test_nothing_starts_after_the_end(dvc: DvcStart, toy: Path) -> None:
    dvc.close()
    with pytest.raises(StageFailed):
        dvc(["root"], toy)
