"""Syncing over HTTP with a real MLflow server, which dies in the middle and comes back."""

import contextlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from flows.serving.ports import free_port
from tasks import track
from tests import tracking_fakes as fakes

PROJECT = Path(__file__).parents[1]
RUNS = {name: {"problem": "classification", "dataset": "a"} for name in ("one", "two", "three", "four")}


@contextmanager
def server(folder: Path, port: int) -> Generator[subprocess.Popen[bytes], None, None]:
    """An MLflow server that answers; killed with all its children at the end."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | quiet, stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield process
    finally:
        kill(process)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 150
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("the MLflow server does not start")


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process and all that it started: `mlflow server` gives its workers groups of their own."""
    head = psutil.Process(process.pid)
    return [*head.children(recursive=True), head]


def kill(process: subprocess.Popen[bytes]) -> None:
    for member in family(process) if process.poll() is None else ():
        member.kill()
    process.wait()


def kill_in_the_middle(process: subprocess.Popen[bytes], database: Path) -> None:
    """Kill the server once the second run has its first points."""
    members = family(process)
    count = "select count(distinct run_uuid) from metrics"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        while connection.execute(count).fetchone()[0] < 2:
            time.sleep(0.005)
    for member in members:
        member.kill()


def test_a_server_that_dies_in_the_middle_is_paid_what_is_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("REGATTA_HOME", raising=False)
    monkeypatch.chdir(fakes.make_course(tmp_path, RUNS))
    track.main(["classification"])
    wanted = fakes.content(f"sqlite:///{tmp_path}/.regatta/mlflow.db", "classification")

    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://captain:hunter2@127.0.0.1:{port}")
    with server(tmp_path, port) as process:
        killer = threading.Thread(target=kill_in_the_middle, args=(process, tmp_path / "server.db"))
        killer.start()
        with pytest.raises(SystemExit):
            track.main(["classification"])
        killer.join()
    line = capsys.readouterr().err
    owed = re.search(r"(\d) runs with (\d+) points are still owed", line)
    assert owed, line
    assert 1 <= int(owed[1]) <= 3  # the first run was paid; perhaps another, before the blow fell
    assert int(owed[2]) == 96 * int(owed[1])
    assert uri in line

    with server(tmp_path, port):
        with slow(port, 0.2) as slow_port:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{slow_port}")
            track.main(["classification"])
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert fakes.content(uri, "classification") == wanted
        run_ids = fakes.run_ids(uri, "classification")
        track.main(["classification"])
        assert fakes.content(uri, "classification") == wanted
        assert fakes.run_ids(uri, "classification") == run_ids
    assert "hunter2" not in line
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert not holding, "the password was written down"


@contextmanager
def slow(port: int, delay_s: float) -> Generator[int, None, None]:
    """A port that leads to *port*, each connection *delay_s* late."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve_slowly, args=(listener, port, delay_s), daemon=True).start()
        yield listener.getsockname()[1]


def _serve_slowly(listener: socket.socket, port: int, delay_s: float) -> None:
    with contextlib.suppress(OSError):
        while True:
            client = listener.accept()[0]
            time.sleep(delay_s)
            server = socket.create_connection(("127.0.0.1", port))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def test_a_server_that_never_answers_is_told_of_in_one_line_and_in_time(tmp_path: Path) -> None:
    fakes.make_course(tmp_path, RUNS)
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # takes connections, and says nothing
        uri = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        quick = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "-m", "tasks.track", "classification"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | quick,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert "4 runs with 384 points are still owed" in line
    assert uri in line
    assert not (tmp_path / "tracked").exists()
