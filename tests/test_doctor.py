"""`python -m flows.doctor`: what is broken is named with its remedy, and `--fix` mends what is safe."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from dvc.repo import Repo

from flows.doctor import Area, examined
from flows.examining.imports import imported
from flows.examining.machine import Place, room
from flows.processes.leashes import Leashes
from regatta.cluster.gpus import gpus
from regatta.cluster.health import cluster
from regatta.tracking.health import store
from regatta.tracking.server import tracking
from regatta.tracking.translation import RUN_TAG
from tasks.doctor import main as examine_here
from tests.toy import PROJECT, make_toy, mark, marked, run, start, wait_until


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy whose course is finished, by real DVC."""
    folder = make_toy(tmp_path_factory.mktemp("made") / "toy")
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = True\n    analytics = false\n")
    code, output = run(folder, "dvc", "repro", "report@classification")
    assert code == 0, output
    return folder


@pytest.fixture
def toy(tmp_path: Path, made: Path) -> Path:
    return shutil.copytree(made, tmp_path / "toy")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of nothing but a home."""
    (tmp_path / ".regatta").mkdir()
    return tmp_path


def doctor(folder: Path, area: str, *options: str, **env: str) -> tuple[int, str]:
    code, output = run(folder, "flows.doctor", "--area", area, *options, **env)
    assert "Traceback" not in output
    return code, output


def outs(folder: Path) -> dict[str, str]:
    """The md5 of each output in dvc.lock."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


def cached(folder: Path, md5: str) -> Path:
    return folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def flip(path: Path) -> None:
    """One bit of the last byte but one, as a disk would: size, date and mode stay."""
    look, content = path.stat(), bytearray(path.read_bytes())
    content[-2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
    path.chmod(look.st_mode)


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-IS", "-c", ""]) as process:
        pass
    return process.pid


# DVC's cache


def test_a_damaged_object_and_its_copy_are_removed_and_made_again(toy: Path) -> None:
    object_, copy = cached(toy, outs(toy)["trained/one"]), toy / "trained" / "one"
    right = copy.read_bytes()
    flip(object_)
    copy.unlink()
    code, output = run(toy, "dvc", "checkout", "trained/one")
    assert (code, copy.read_bytes() == right) == (0, False), "DVC checks objects now: the doctor need not"
    code, output = run(toy, "dvc", "status", "train@one")
    assert "up to date" in output

    code, output = doctor(toy, "DVC cache")
    assert code == 1
    assert f"{object_.relative_to(toy)} is damaged; needed by trained/one of train@one" in output
    assert "trained/one does not hold what dvc.lock says" in output
    assert object_.exists() and copy.exists(), "nothing is changed without --fix"

    code, output = doctor(toy, "DVC cache", "--fix")
    assert (code, output.count("mended")) == (0, 2), output
    assert not object_.exists() and not copy.exists()
    code, output = run(toy, "dvc", "repro", "report@classification")
    assert code == 0, output
    assert copy.read_bytes() == right == object_.read_bytes()
    assert doctor(toy, "DVC cache")[0] == 0


def test_a_damaged_object_is_taken_from_its_whole_copy(toy: Path) -> None:
    folder, whole = outs(toy)["report/classification"], outs(toy)["trained/two"]
    before = {md5: cached(toy, md5).read_bytes() for md5 in (folder, whole)}
    for md5 in before:
        flip(cached(toy, md5))
    code, output = doctor(toy, "DVC cache", "--fix")
    assert (code, output.count("mended  ")) == (0, 2), output
    assert "report/classification of report@classification" in output
    assert {md5: cached(toy, md5).read_bytes() for md5 in before} == before
    assert cached(toy, whole).stat().st_mode & 0o777 == 0o444
    code, output = run(toy, "dvc", "repro", "report@classification")
    assert "Running stage" not in output


def test_a_damaged_folder_object_without_a_copy_is_made_again(toy: Path) -> None:
    folder = cached(toy, outs(toy)["report/classification"])
    right = folder.read_bytes()
    child = cached(toy, json.loads(right)[0]["md5"])
    flip(folder)
    flip(child)
    shutil.rmtree(toy / "report" / "classification")
    code, output = doctor(toy, "DVC cache", "--fix")
    assert code == 0, output
    assert all(f"{path.relative_to(toy)} is damaged" in output for path in (folder, child))
    assert not folder.exists() and not child.exists()
    code, output = run(toy, "dvc", "repro", "report@classification")
    assert code == 0 and "Running stage 'report@classification'" in output
    assert folder.read_bytes() == right and child.exists()


def test_an_output_that_changed_behind_dvcs_back_is_checked_out(toy: Path) -> None:
    page = toy / "report" / "classification" / "index.html"
    right = page.read_bytes()
    # DVC reads it once, here, and never again while its date stays.
    assert "up to date" in run(toy, "dvc", "status", "report@classification")[1]
    flip(page)
    assert "up to date" in run(toy, "dvc", "status", "report@classification")[1]
    code, output = doctor(toy, "DVC cache", "--fix")
    assert (code, output.count("mended  ")) == (0, 1), output
    assert page.read_bytes() == right


def test_damage_older_than_dvcs_first_look_is_known_by_the_manifest(bare: Path) -> None:
    packed = bare / "data" / "packed" / "d"
    steps = [
        "from pathlib import Path",
        "from regatta.manifest import write_manifest",
        "folder = Path('data/packed/d')",
        "folder.mkdir(parents=True)",
        "(folder / 'images').write_text('right')",
        "write_manifest(folder)",
        "file = Path('damage'); file.exists() and (folder / 'images').write_text(file.read_text())",
    ]
    (bare / "pack.py").write_text("\n".join(steps))
    (bare / "damage").write_text("wrong")
    Repo.init(str(bare), no_scm=True).close()
    assert run(bare, "dvc", "stage", "add", "-n", "pack", "-o", "data/packed/d", "python pack.py")[0] == 0
    assert run(bare, "dvc", "repro")[0] == 0
    (packed / "added").write_text("somebody's own")
    (bare / "damage").unlink()
    code, output = doctor(bare, "DVC cache", "--fix")
    assert code == 1 and "mended  data/packed/d/images is damaged" in output
    assert "data/packed/d/added was added" in output and "→ rm data/packed/d/added" in output
    (packed / "added").unlink()
    assert run(bare, "dvc", "repro")[0] == 0
    assert (packed / "images").read_text() == "right"
    assert doctor(bare, "DVC cache")[0] == 0


# DVC's locks


def test_a_torn_lock_table_is_removed(toy: Path) -> None:
    table = toy / ".dvc" / "tmp" / "rwlock"
    table.write_text('{"write": {"/a": {"pi')
    (toy / "trained" / "one").unlink()
    code, output = run(toy, "dvc", "repro", "train@one")
    assert code != 0 and "corrupted" in output
    code, output = doctor(toy, "DVC")
    assert code == 1 and f"{table} is torn" in output and f"→ rm {table}" in output
    code, output = doctor(toy, "DVC", "--fix")
    assert code == 0, output
    code, output = run(toy, "dvc", "repro", "train@one")
    assert code == 0, output


def test_a_torn_lock_table_is_left_to_a_dvc_at_work(toy: Path) -> None:
    (toy / "play" / "train-one.hang").touch()
    (toy / "trained" / "one").unlink()
    (toy / ".dvc" / "cache" / "runs").rename(toy / "no-run-cache")
    env, table = mark(), toy / ".dvc" / "tmp" / "rwlock"
    with start(toy, "dvc", "repro", "--single-item", "--force", "train@one", **env) as at_work:
        wait_until(lambda: (toy / "play" / "train-one.hanging").exists())
        table.write_text("{")
        code, output = doctor(toy, "DVC", "--fix")
        assert code == 1 and f"wait for DVC (process {at_work.pid})" in output
        assert table.read_text() == "{"
        end_marked(env)
        at_work.communicate()


def end_marked(env: dict[str, str]) -> None:
    """End what this test has started, and all that those have."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("TOY_MARK") == env["TOY_MARK"]:
                process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    wait_until(lambda: not marked(env))


def test_a_lock_held_by_a_number_that_was_given_to_another_process(toy: Path) -> None:
    table = toy / ".dvc" / "tmp" / "rwlock"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        entry = {"pid": other.pid, "cmd": "dvc repro"}
        table.write_text(json.dumps({"write": {str(toy / "trained" / "one"): entry}}))
        os.utime(table, (time.time() - 60, time.time() - 60))
        (toy / "trained" / "one").unlink()
        code, output = run(toy, "dvc", "repro", "train@one")
        assert code != 0 and "busy" in output
        os.utime(table, (time.time() - 60, time.time() - 60))
        code, output = doctor(toy, "DVC", "--fix")
        assert code == 0, output
        assert f"names process {other.pid} (dvc repro), which is gone" in output
        code, output = run(toy, "dvc", "repro", "train@one")
        assert code == 0, output
        other.communicate(b"\n")


def test_a_graph_that_cannot_be_read(toy: Path) -> None:
    (toy / "dvc.yaml").write_text("stages: [")
    code, output = doctor(toy, "DVC")
    assert code == 1 and "dvc.yaml" in output and "→ mend" in output


# Runs that are called running


def test_a_flow_run_of_a_killed_process_is_crashed(toy: Path) -> None:
    shutil.copy(PROJECT / "prefect.toml", toy)
    (toy / "play" / "download-e.hang").touch()
    env = mark()
    with start(toy, "flows.reproduce", "three", **env) as process:
        wait_until(lambda: (toy / "play" / "download-e.hanging").exists(), 120)
        process.kill()
        wait_until(lambda: not marked(env), 20)
    code, output = doctor(toy, "Prefect", "--fix")
    assert code == 0, output
    assert "is Running, but its process is gone" in output and "mended: 1" in output
    with closing(sqlite3.connect(toy / ".regatta" / "prefect" / "prefect.db")) as database:
        states = database.execute("SELECT state_type FROM flow_run").fetchall()
    assert states == [("CRASHED",)]


def test_a_prefect_that_does_not_answer(bare: Path) -> None:
    code, output = doctor(bare, "Prefect", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert code == 1 and "PREFECT_API_URL=http://127.0.0.1:9/api: no Prefect answers there" in output


def test_mlflow_runs_of_a_killed_sync_are_ended(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = bare / ".regatta" / "mlflow.db"
    monkeypatch.setenv("REGATTA_HOME", str(bare / ".regatta"))
    with tracking(f"sqlite:///{database}") as mlflow:
        experiment = mlflow.client.create_experiment("segmentation")
        ours = mlflow.client.create_run(experiment, tags={RUN_TAG: "unet"}, run_name="unet").info.run_id
        theirs = mlflow.client.create_run(experiment, run_name="somebody else's").info.run_id
        code, output = doctor(bare, "MLflow", "--fix")
        assert code == 0 and "a sync is at work" in output, "this very test holds the lock of a sync"
    code, output = doctor(bare, "MLflow", "--fix")
    assert code == 0 and "MLflow run 'unet'" in output and "mended: 1" in output
    status = {run_id: mlflow.client.get_run(run_id).info.status for run_id in (ours, theirs)}
    assert status == {ours: "KILLED", theirs: "RUNNING"}

    with closing(sqlite3.connect(database)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'older'")
        opened.commit()
    [older] = store()
    assert "has the schema of another MLflow (older, not" in older.text
    assert older.remedy == f"mlflow db upgrade sqlite:///{database}"
    database.write_bytes(b"SQLite format 3\0" + bytes(4096))
    [torn] = store()
    assert torn.severity == "fault" and torn.remedy.startswith(f"mv {database}")


@pytest.mark.parametrize("place", ["127.0.0.1:9", "nobody.invalid"])
def test_an_mlflow_server_that_does_not_answer(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{place}")
    [finding] = store()
    assert finding.severity == "fault" and f"http://{place}: no MLflow answers there" in finding.text
    assert "secret" not in f"{finding.text} {finding.remedy}"


# The machine


def test_a_taken_port_and_services_that_are_gone(bare: Path) -> None:
    services = bare / ".regatta" / "services.json"
    services.write_text(json.dumps({"pid": dead_pid(), "env": {}}))
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 6390))
            taken.listen()
        except OSError:
            pass  # Somebody else has it: as good as we.
        code, output = doctor(bare, "services", "--fix")
    assert code == 0, "neither is in the way of a course"
    assert "port 6390 of 127.0.0.1 is taken" in output and "--ray-port" in output
    assert f"mended  {services} tells of services that are gone" in output
    assert not services.exists()


def test_a_home_that_cannot_be_written_to(bare: Path) -> None:
    (bare / "file").touch()
    code, output = doctor(bare, "machine", REGATTA_HOME=str(bare / "file" / "home"))
    assert code == 1
    assert f"{bare / 'file' / 'home'} (work in flight) cannot be written to" in output
    assert f"→ make {bare / 'file'} writable" in output


def test_a_disk_with_too_little_room(tmp_path: Path) -> None:
    [finding] = room(Place("the test", tmp_path / "not" / "yet", least_gb=1e9))
    assert finding.severity == "fault" and "less than 1000000000.0" in finding.text
    assert finding.remedy == f"free some of the disk that holds {tmp_path}"


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(bare: Path) -> None:
    dead = dead_pid()
    gone = [
        bare / "trained" / f".one.partial-{dead}",
        bare / ".regatta" / "links" / f".p.json.partial-{dead}",
    ]
    stays = bare / "trained" / f".two.partial-{os.getpid()}"
    former = bare / "results" / f".three.former-{dead}"
    for path in (*gone, stays, former):
        path.mkdir(parents=True)
        (path / "weights").write_bytes(bytes(1000))
    assert "left by a process that is gone" in doctor(bare, "leftovers")[1]
    assert all(path.exists() for path in gone)
    code, output = doctor(bare, "leftovers", "--fix")
    assert (code, output.count("mended  ")) == (0, 3), output
    assert not any(path.exists() for path in (*gone, former))
    assert stays.exists() and (bare / "results" / "three" / "weights").exists()


@pytest.mark.parametrize("place", ["runs", "finished"])
def test_old_work_of_no_run_is_removed(
    place: str, toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (toy / ".regatta" / place / name for name in ("0ld", "new"))
    for folder, days in ((old, 40), (new, 2)):
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_text("{}\n")
        for path in (folder / "journal.jsonl", folder):
            os.utime(path, (time.time() - days * 86400,) * 2)
    monkeypatch.chdir(toy)
    monkeypatch.delenv("REGATTA_HOME", raising=False)
    examine_here(["runs", "--fix"])
    output = capsys.readouterr().out
    assert "40 days old" in output and "2 days old" in output
    assert (old.exists(), new.exists()) == (False, True)


# The installation


def test_a_package_at_another_version(bare: Path) -> None:
    shutil.copyfile(PROJECT / "requirements.lock", bare / "requirements.lock")
    metadata = bare / "path" / "rich-1.2.3.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: rich\nVersion: 1.2.3\n")
    assert doctor(bare, "installation")[0] == 0
    code, output = doctor(
        bare, "installation", PYTHONPATH=os.pathsep.join([str(metadata.parents[1]), str(PROJECT)])
    )
    assert code == 1
    assert "not as in requirements.lock: rich 1.2.3 instead of" in output
    assert "→ rm -r .venv && make .venv/installed" in output


def test_imports_that_crash_raise_or_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aborts.py").write_text("import os; os.abort()")
    (tmp_path / "raises.py").write_text("raise ImportError('torn in two')")
    (tmp_path / "hangs.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    *faults, last = imported(("csv", "aborts", "raises", "json", "hangs", "gzip"), timeout_s=2.0)
    assert [finding.text.partition(" cannot be imported: ")[::2] for finding in faults] == [
        ("aborts", "exit code -6"),
        ("raises", "ImportError: torn in two"),
        ("hangs", "not done after 2 s"),
    ]
    assert last.text.startswith("3 of 6 imported")


def test_an_area_that_does_not_import_is_a_finding(bare: Path) -> None:
    (bare / "psutil.py").write_text("raise ImportError('no psutil for this machine')")
    code, output = doctor(bare, "services")
    assert code == 1
    assert "fault   cannot be looked at: ImportError: no psutil for this machine" in output


def test_an_area_that_hangs_is_a_finding_and_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "hangs.py").write_text("import subprocess; subprocess.run(['sleep', '600'])")
    env = mark()
    for name, value in {**env, "PYTHONPATH": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    [told] = examined(Area("hangs", ("hangs",), timeout_s=1.0), fix=False, leashes=Leashes())
    assert (told.severity, told.text) == ("fault", "not done after 1 s")
    assert [command for command in marked(env) if "sleep" in command] == []


def test_ctrl_c_ends_all_that_is_being_looked_at(bare: Path) -> None:
    env = mark()
    with start(bare, "flows.doctor", **env) as process:
        wait_until(lambda: any("flows.examining.imports" in command for command in marked(env)))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in output
    assert not marked(env)


def test_a_ray_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    [finding] = cluster()
    assert finding.severity == "fault" and finding.text == "RAY_ADDRESS=127.0.0.1:9: nothing listens there"


def test_a_driver_whose_gpus_torch_does_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver of this test is a script; where torch has GPUs, they compute all the same."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 470.1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    first, *_ = gpus()
    assert "driver (470.1)" in first.text or "driver 470.1" in first.text
    assert first.severity == ("ok" if torch.cuda.is_available() else "fault")
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    first, *_ = gpus()
    assert (first.severity, first.text) == ("fault", "nvidia-smi: NVIDIA-SMI has failed")
