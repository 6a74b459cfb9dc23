"""`python -m flows.reproduce` as a user runs it: with its own server, with overrides, and killed."""

import shutil
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.toy import make_toy, mark, marked, prefect_server, run, start, wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A home whose Prefect database is made already; making it takes longer than all else here."""
    folder = tmp_path_factory.mktemp("home")
    with prefect_server(folder):
        pass
    yield folder


@pytest.fixture
def toy(tmp_path: Path, home: Path) -> Path:
    folder = make_toy(tmp_path / "toy")
    shutil.copytree(home, folder / ".regatta")
    return folder


def test_cold_then_up_to_date_then_with_overrides(toy: Path) -> None:
    env = mark()
    code, output = run(toy, "flows.reproduce", "two", **env)
    assert code == 0, output
    assert "4 done" in output and "epoch 1/1 train two" in output
    assert not marked(env)
    code, output = run(toy, "flows.reproduce", "two")
    assert (code, output.count("started")) == (0, 0)
    assert "all is up to date" in output

    code, output = run(toy, "flows.reproduce", "--set", "runs.two.lr=0.9", "two")
    assert code == 0, output
    assert "train@two | started" in output
    assert "download@d | started" not in output
    [workspace] = [p for p in (toy / ".regatta" / "workspaces").iterdir() if p.is_dir()]
    assert f"{workspace.name}/report/classification" in output
    assert "0.9" in (workspace / "trained" / "two").read_text()
    assert "0.9" not in (toy / "trained" / "two").read_text()


def test_sigkill_leaves_no_process_and_the_next_flow_says_crashed(toy: Path) -> None:
    (toy / "play" / "download-e.hang").touch()
    env = mark()
    with start(toy, "flows.reproduce", "three", **env) as process:
        wait_until(lambda: (toy / "play" / "download-e.hanging").exists())
        process.kill()
        wait_until(lambda: not marked(env), 10)
    (toy / "play" / "download-e.hang").unlink()
    code, output = run(toy, "flows.reproduce", "three")
    assert code == 0, output
    # Read from the file: another start of the server would cost seconds.
    with closing(sqlite3.connect(toy / ".regatta" / "prefect" / "prefect.db")) as database:
        states = database.execute("SELECT state_type FROM flow_run ORDER BY created").fetchall()
    assert states == [("CRASHED",), ("COMPLETED",)]


@pytest.mark.timeout(300)
def test_a_flow_outlasts_its_server(toy: Path) -> None:
    for name in ("download-d", "train-two"):
        (toy / "play" / f"{name}.wait").write_text("4")
    (toy / "play" / "train-two.lines").write_text("300")
    env = mark()
    with start(toy, "flows.reproduce", "two", **env) as process:
        wait_until(
            lambda: (toy / ".dvc/tmp/rwlock").exists() and any("step.py" in c for c in marked(env)), 120
        )
        server = server_of(env)
        server.suspend()  # Slow first …
        time.sleep(5)
        server.resume()
        wait_until(lambda: any("train two" in c for c in marked(env)), 60)
        server.kill()  # … then gone.
        output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output
    assert "4 done" in output and "Traceback" not in output, output
    assert not marked(env)
    assert_all_was_told(toy, lines=300)


@pytest.mark.timeout(300)
def test_the_first_lines_arrive_though_the_server_dies_before_they_are_told(toy: Path) -> None:
    (toy / "play" / "download-d.lines").write_text("300")
    (toy / "play" / "download-d.wait").write_text("1")  # Seen by the test, over before lines are told.
    env = mark()
    with start(toy, "flows.reproduce", "two", **env) as process:
        wait_until(lambda: any("step.py download" in command for command in marked(env)), 120)
        server_of(env).kill()
        output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output
    assert "4 done" in output and "Traceback" not in output, output
    assert_all_was_told(toy, lines=300)


def assert_all_was_told(toy: Path, lines: int) -> None:
    """The only flow run and all of its task runs are completed, and so many lines have arrived."""
    with closing(sqlite3.connect(toy / ".regatta" / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT state_type FROM flow_run").fetchall() == [("COMPLETED",)]
        assert set(database.execute("SELECT state_type FROM task_run")) == {("COMPLETED",)}
        found = database.execute("SELECT count(*) FROM log WHERE message LIKE 'line %'").fetchone()
    assert found == (lines,)


def server_of(env: dict[str, str]) -> psutil.Process:
    """The embedded server itself, not its leash."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words = process.cmdline()
            is_server = "flows.serving.prefect_socket" in words and not any("leash" in word for word in words)
            if is_server and process.environ().get("TOY_MARK") == env["TOY_MARK"]:
                return process
    raise AssertionError("no server")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tow"], "params.yaml: no run 'tow': did you mean 'two'?"),
        (["--set", "defaults.epoch=3"], "did you mean 'epochs'?"),
        (["--concurrency", "0"], "--concurrency"),
        (["--retry-delay", "nan"], "--retry-delay: expected seconds from 0 to 86400, found 'nan'"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str, toy: Path) -> None:
    code, output = run(toy, "flows.reproduce", *arguments)
    assert code == 2
    [line] = [line for line in output.splitlines() if "error: " in line]
    assert says in line
    assert "Traceback" not in output


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9/api", "myserver/api"])
def test_a_named_server_that_does_not_answer_is_not_replaced_in_silence(address: str, tmp_path: Path) -> None:
    code, output = run(make_toy(tmp_path / "toy"), "flows.reproduce", PREFECT_API_URL=address)
    assert code == 2
    [line] = [line for line in output.splitlines() if line.startswith("error: ")]
    shown = f"PREFECT_API_URL={address.replace('me:secret@', '')}"
    assert line == f"error: {shown}: no Prefect answers there; start it, or unset PREFECT_API_URL"
