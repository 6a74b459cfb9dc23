"""Journals and weights into a sqlite MLflow: exactly once, whatever is killed, lost or changed."""

import json
import os
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import numpy as np
import pytest

from regatta.errors import RegattaError
from regatta.settings.course import read_course
from regatta.settings.reading import read_yaml
from regatta.tracking import record
from regatta.tracking.journal import read_journal
from regatta.tracking.server import tracking
from tasks import track
from tests import tracking_fakes as fakes

PROJECT = Path(__file__).parents[1]
TWO = {
    "soft-a": {"problem": "classification", "dataset": "a"},
    "soft-b": {"problem": "classification", "dataset": "b"},
}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow with nothing in it; its migrations take a second."""
    path = tmp_path_factory.mktemp("blank") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGATTA_HOME", str(path.parent))
        with tracking(f"sqlite:///{path}"):
            return path


@pytest.fixture
def course(tmp_path: Path, blank: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished course of two runs on two data sets, never synced, and the current folder."""
    for name in ("MLFLOW_TRACKING_URI", "REGATTA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(fakes.make_course(tmp_path, TWO))
    (tmp_path / ".regatta").mkdir()
    shutil.copyfile(blank, tmp_path / ".regatta" / "mlflow.db")
    return tmp_path


def test_the_lock_is_read_once_however_many_runs_there_are(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path) -> dict[str, Any]:
        read.append(path.name)
        return read_yaml(path)

    monkeypatch.setattr(record, "read_yaml", counted)
    records = record.read_records(list(read_course().runs.values()))
    assert [one.data_digest for one in records] == ["d" * 32 + ".dir"] * len(TWO)
    assert read == ["dvc.lock"]


def database(root: Path) -> list[str]:
    with sqlite3.connect(root / ".regatta" / "mlflow.db") as connection:
        dump = list(connection.iterdump())
    connection.close()
    return dump


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def uri(root: Path) -> str:
    return f"sqlite:///{root}/.regatta/mlflow.db"


# --- one sync ---


def test_a_run_is_in_mlflow_whole(course: Path):
    track.main(["classification"])
    told = fakes.content(uri(course), "classification")
    run = told["runs"]["soft-a"]
    assert set(run["metrics"]) == set(told["runs"]["soft-b"]["metrics"])
    assert run["status"] == "FINISHED"
    assert (run["start"], run["end"]) == (1_700_000_000_000, 1_700_000_003_750)
    assert run["params"]["lr"] == "0.05"
    assert run["params"]["augment.flip"] == "false"
    assert run["params"]["family"] == "softmax"
    assert {"problem", "family", "dataset", "regatta.key"} <= set(run["tags"])
    assert run["tags"]["mlflow.source.git.commit"] == "c0ffee"
    assert run["metrics"]["train/loss"] == [(s, 1_700_000_000_000 + 125 * s, 1 / s) for s in range(1, 31)]
    assert [step for step, _, _ in run["metrics"]["val/top1"]] == [10, 20, 30]
    assert run["metrics"]["test/top1"] == [(0, 1_700_000_003_750, 0.5)]
    assert "cost/latency_p50_ms" in run["metrics"]
    assert run["datasets"] == [("a", "d" * 32 + ".dir")]
    wanted = {"scores.json", "confusion.csv", "per_class.csv", "curves.csv", "figures/curves.png"}
    wanted |= {"figures/samples/samples.json", "journal/journal.jsonl", "dvc.lock", "params.yaml", "a.yaml"}
    assert wanted <= set(run["artifacts"])
    assert run["models"][0]["status"] == "READY"
    assert run["models"][0]["metrics"]["test/top1"] == 0.5


def test_receipt_and_links(course: Path):
    track.main(["classification"])
    receipt = json.loads((course / "tracked" / "classification.json").read_text())
    assert receipt["runs"]["soft-a"] == {"key": "key-soft-a", "points": 96}
    links = json.loads((course / ".regatta" / "links" / "classification.json").read_text())
    run_ids = fakes.run_ids(uri(course), "classification")
    assert links["runs"]["soft-b"] == links["experiment_url"].split("?")[0] + f"/{run_ids['soft-b']}"


def test_syncing_twice_changes_nothing(course: Path):
    track.main(["classification"])
    before = database(course), files(course / ".regatta" / "mlartifacts")
    track.main(["classification"])
    assert (database(course), files(course / ".regatta" / "mlartifacts")) == before


def test_paying_all_of_it_again_changes_nothing(course: Path):
    """As when a sync is killed just before its last word, FINISHED."""
    track.main(["classification"])
    before = fakes.content(uri(course), "classification")
    run_ids = fakes.run_ids(uri(course), "classification").values()
    with tracking(uri(course)) as mlflow:
        for run_id in run_ids:
            mlflow.client.update_run(run_id, "RUNNING")
    track.main(["classification"])
    assert fakes.content(uri(course), "classification") == before


def test_a_lost_database_is_rebuilt_to_the_same(course: Path, monkeypatch: pytest.MonkeyPatch):
    track.main(["classification"])
    before = fakes.content(uri(course), "classification")
    receipt = (course / "tracked" / "classification.json").read_bytes()
    # Another home, and not the same emptied: this process still has the former database open.
    monkeypatch.setenv("REGATTA_HOME", str(course / "new"))
    track.main(["classification"])
    assert fakes.content(f"sqlite:///{course}/new/mlflow.db", "classification") == before
    assert (course / "tracked" / "classification.json").read_bytes() == receipt


def test_a_run_whose_files_changed_replaces_the_former(course: Path):
    track.main(["classification"])
    former = fakes.run_ids(uri(course), "classification")
    scores = course / "results" / "classification" / "soft-a" / "scores.json"
    scores.write_text(json.dumps(json.loads(scores.read_text()) | {"top1": 0.9}))
    track.main(["classification"])
    told, now = fakes.content(uri(course), "classification"), fakes.run_ids(uri(course), "classification")
    assert set(told["runs"]) == {"soft-a", "soft-b"}
    assert now["soft-a"] != former["soft-a"]
    assert now["soft-b"] == former["soft-b"]
    assert told["runs"]["soft-a"]["metrics"]["test/top1"][0][2] == 0.9
    assert sorted(told["versions"]) == ["soft-a", "soft-b"]


def test_what_a_killed_sync_began_does_not_run_for_ever(course: Path):
    track.main(["classification"])
    with tracking(uri(course)) as mlflow:
        (experiment,) = mlflow.client.search_experiments(filter_string="name = 'classification'")
        begun = mlflow.client.create_run(experiment.experiment_id, tags={"regatta.run": "soft-a"})
    track.main(["classification"])
    with tracking(uri(course)) as mlflow:
        assert mlflow.client.get_run(begun.info.run_id).info.status == "KILLED"


def test_without_dvc_the_data_set_has_its_own_digest(course: Path):
    (course / "dvc.lock").write_text("stages: {torn")
    track.main(["classification"])
    run = fakes.content(uri(course), "classification")["runs"]["soft-a"]
    assert run["datasets"] == [("a", f"{'a':f<36}")]


# --- the registry ---


def test_champions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    runs = {name: {"problem": "classification", "dataset": name[0]} for name in ("a1", "a2", "a3", "b1")}
    for name, score in {"a1": 0.7, "a2": 0.8, "a3": 0.8, "b1": 0.99}.items():
        runs[name] |= {"score": score}
    root = fakes.make_course(tmp_path, runs)
    monkeypatch.chdir(root)
    track.main(["classification"])
    aliases = fakes.content(uri(root), "classification")["aliases"]
    assert aliases == {"champion": "a2", "champion-a": "a2", "champion-b": "b1"}
    fakes.make_run(root, "a4", fakes.FAKE_RUN | {"dataset": "a", "score": 0.81}, 32, 30)
    fakes.add_to_params(root, "a4", "a")
    track.main(["classification"])
    aliases = fakes.content(uri(root), "classification")["aliases"]
    assert aliases == {"champion": "a4", "champion-a": "a4", "champion-b": "b1"}


# --- journals ---

LINE = '{"step": %d, "epoch": 0, "metric": "train/loss", "value": %s, "time_s": 1.5}\n'


def journal(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run" / "journal.jsonl"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_torn_last_line_is_left_out(tmp_path: Path):
    read = read_journal(journal(tmp_path, LINE % (1, "0.5") + (LINE % (2, "0.4"))[:30]))
    assert read.torn
    assert [point.step for point in read.points] == [1]


def test_a_last_line_without_its_newline_is_whole(tmp_path: Path):
    read = read_journal(journal(tmp_path, (LINE % (1, "0.5"))[:-1]))
    assert (len(read.points), read.torn) == (1, False)


def test_a_corrupt_line_is_named(tmp_path: Path):
    path = journal(tmp_path, LINE % (1, "0.5") + "{broken\n" + LINE % (2, "0.5"))
    with pytest.raises(RegattaError, match=r"journal.jsonl:2: not a point"):
        read_journal(path)


def test_the_last_word_on_a_step_counts(tmp_path: Path):
    text = LINE % (1, "0.5") + LINE % (2, "0.4") + LINE % (2, "0.3")
    assert [point.value for point in read_journal(journal(tmp_path, text)).points] == [0.5, 0.3]


def test_a_diverged_run_has_a_history(course: Path):
    path = course / "journals" / "classification" / "soft-a" / "journal.jsonl"
    path.write_text(LINE % (1, "NaN") + LINE % (2, "Infinity"))
    track.main(["classification"])
    losses = fakes.content(uri(course), "classification")["runs"]["soft-a"]["metrics"]["train/loss"]
    assert np.isnan(losses[0][2])
    assert losses[1][2] > 1e300


# --- what people get wrong ---


def refused(capsys: pytest.CaptureFixture[str], problem: str = "classification") -> str:
    with pytest.raises(SystemExit) as stop:
        track.main([problem])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


def test_an_unknown_problem(course: Path, capsys: pytest.CaptureFixture[str]):
    assert "did you mean 'classification'" in refused(capsys, "clasification")


def test_a_run_that_was_not_evaluated(course: Path, capsys: pytest.CaptureFixture[str]):
    (course / "results" / "classification" / "soft-b" / "scores.json").unlink()
    assert "dvc repro evaluate@soft-b" in refused(capsys)
    assert not (course / "tracked").exists()
    assert not (course / ".regatta" / "mlartifacts").exists()


def test_a_server_that_is_not_there(
    course: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{address}")
    started_s = time.monotonic()
    line = refused(capsys)
    assert f"http://{address}" in line
    assert "secret" not in line
    assert "2 runs with 192 points are still owed" in line
    assert "python -m tasks.track classification" in line
    assert time.monotonic() - started_s < 30
    assert not (course / "tracked").exists()


def test_a_server_that_never_answers(
    course: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert "are still owed" in refused(capsys)


@pytest.mark.parametrize(
    "address", ["ftp://nowhere/x", "sqlite:////proc/nowhere/mlflow.db", "sqlite:///{file}"]
)
def test_an_address_that_cannot_be_used(
    course: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
):
    (course / "not-a-database").write_text("words" * 1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(file=course / "not-a-database"))
    refused(capsys)


# --- other processes ---


def test_syncs_killed_anywhere_end_in_the_same_history(course: Path, monkeypatch: pytest.MonkeyPatch):
    """Real processes, SIGKILLed at random steps: some while the database is made, the rest after."""
    shutil.rmtree(course / ".regatta")
    draw = random.Random(7)
    last_steps = [draw.randrange(1, 2400), *(draw.randrange(500, 2000) for _ in range(2)), 3000]
    last_steps += [draw.randrange(500, 2000) for _ in range(3)]
    command = [sys.executable, "-m", "tests.killed_sync", "classification", *map(str, last_steps)]
    killed = subprocess.run(command, env=with_project(), capture_output=True, text=True, timeout=200)
    assert killed.returncode == 0, killed.stderr
    assert killed.stdout.count("exit code -9") >= 4
    assert "Traceback" not in killed.stderr
    track.main(["classification"])
    found = fakes.content(uri(course), "classification")

    monkeypatch.setenv("REGATTA_HOME", str(course / "clean"))
    track.main(["classification"])
    assert found == fakes.content(f"sqlite:///{course}/clean/mlflow.db", "classification")
    assert {path.name for path in (course / ".regatta").iterdir()} == {
        path.name for path in (course / "clean").iterdir()
    }


def with_project() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def test_two_problems_at_once_on_a_fresh_database(
    tmp_path: Path, course: Path, monkeypatch: pytest.MonkeyPatch
):
    fakes.make_course(tmp_path / "three", TWO | {"seg-a": {"problem": "segmentation", "dataset": "s"}})
    monkeypatch.chdir(tmp_path / "three")
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "tasks.track", problem],
            env=with_project(),
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
        )
        for problem in ("classification", "segmentation")
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [each.splitlines()[-1] for each in said] == [
        "classification: 2 runs with 192 points are in MLflow",
        "segmentation: 1 runs with 96 points are in MLflow",
    ]
    assert all(
        re.match(r"(track |trained: verified |classification:|segmentation:)", line)
        for line in "".join(said).splitlines()
    )
