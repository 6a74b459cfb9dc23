"""Several at once in one project: twelve stages, two flows, `dvc repro` beside them. Nobody meets a lock."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from flows.walking.graph import read_stages
from flows.walking.lock_order import lock_names
from tests.conftest import copy_project
from tests.toy import GRAPH, PROJECT, make_toy, mark, marked, prefect_server, run, start, toy_env, wait_until

# pygtrie has deprecated what DVC itself calls while it builds its graph.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")
DVC = str(PROJECT / "flows/stages/patient_dvc.py")
TWELVE = "".join(
    f"  run{n}: {{problem: classification, dataset: {'de'[n % 2]}, family: f}}\n" for n in range(12)
)
PARAMS = "defaults: {epochs: 2}\nproblems: [classification]\ndatasets: [d, e]\nruns:\n" + TWELVE


def twelve(folder: Path) -> Path:
    """A toy of two downloads and twelve trainings, none of which takes long."""
    toy = make_toy(folder)
    (toy / "params.yaml").write_text(PARAMS)
    (toy / "dvc.yaml").write_text(GRAPH.partition("  evaluate:")[0])
    return toy


def start_dvc(toy: Path, **env: str) -> subprocess.Popen[str]:
    """`dvc repro` as the Makefile's `.venv/bin/dvc` runs it."""
    return subprocess.Popen(
        [sys.executable, "-P", DVC, "repro"],
        cwd=toy,
        env=toy_env(toy, **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with prefect_server(tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture(scope="module")
def serial_lock(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What an unaltered, serial `dvc repro` leaves."""
    toy = twelve(tmp_path_factory.mktemp("serial") / "toy")
    code, output = run(toy, "dvc", "repro")
    assert code == 0, output
    return (toy / "dvc.lock").read_bytes()


@pytest.mark.timeout(600)
def test_twelve_at_once_two_flows_and_dvc_repro(tmp_path: Path, api: str, serial_lock: bytes) -> None:
    toy = twelve(tmp_path / "toy")
    for n in range(12):
        (toy / "play" / f"train-run{n}.wait").write_text("1.5")
    flow = ("flows.reproduce", "--concurrency", "12")
    flows = [start(toy, *flow, PREFECT_API_URL=api) for _ in range(2)]
    wait_until(lambda: (toy / ".dvc/tmp/rwlock").exists() and "train" in rwlock(toy), 120)
    everybody = [*flows, start_dvc(toy)]
    for process in everybody:
        output = process.communicate(timeout=500)[0]
        assert process.returncode == 0, output
        assert "ERROR" not in output and "failed" not in output, output
    assert (toy / "dvc.lock").read_bytes() == serial_lock
    assert "up to date" in run(toy, "dvc", "repro")[1]
    assert not list((toy / ".dvc/tmp").glob("*regatta*"))


def rwlock(toy: Path) -> str:
    return (toy / ".dvc/tmp/rwlock").read_text()


@pytest.mark.timeout(300)
def test_a_flow_begun_beside_dvc_repro_waits_for_its_stage(tmp_path: Path, api: str) -> None:
    toy = make_toy(tmp_path / "toy")
    held = toy / "play" / "download-d.held"
    held.touch()
    with start_dvc(toy) as dvc:
        wait_until(lambda: (toy / ".dvc/tmp/rwlock").exists() and "raw/d" in rwlock(toy))
        with start(toy, "flows.reproduce", "two", PREFECT_API_URL=api) as flow:
            assert flow.stdout
            told: list[str] = []
            while not told or "download@d: another start is at it" not in told[-1]:
                told.append(flow.stdout.readline())
                assert told[-1], told
            held.unlink()
            output = "".join(told) + flow.communicate(timeout=200)[0]
        said = dvc.communicate(timeout=200)[0]
    assert flow.returncode == 0, output
    assert "failed" not in output
    assert dvc.returncode == 0, said


def test_what_a_killed_flow_left_in_disorder_is_put_in_order(tmp_path: Path, api: str) -> None:
    toy = make_toy(tmp_path / "toy")
    (toy / "dvc.yaml").write_text(GRAPH.partition("  evaluate:")[0])
    # What is first in order comes last, and by then the flow is dead.
    (toy / "play" / "download-d.hang").touch()
    env = mark()
    with start(toy, "flows.reproduce", PREFECT_API_URL=api, **env) as process:
        wait_until(lambda: "train@three" in lock_names(toy), 120)
        process.kill()
    wait_until(lambda: not marked(env), 10)
    (toy / "play" / "download-d.hang").unlink()
    code, output = run(toy, "flows.reproduce", PREFECT_API_URL=api)
    assert code == 0, output
    assert lock_names(toy) == [stage.name for stage in read_stages(toy)]


@pytest.mark.parametrize("torn", ["", '{"write": {"/a/pa'])
def test_a_torn_table_of_locks_does_not_block(torn: str, tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    (toy / ".dvc/tmp").mkdir(exist_ok=True)
    (toy / ".dvc/tmp/rwlock").write_text(torn)
    code, output = run(toy, "dvc", "repro", "download@d")
    assert code != 0 and "corrupted" in output  # DVC by itself
    with start_dvc(toy) as dvc:
        output = dvc.communicate(timeout=120)[0]
    assert dvc.returncode == 0, output
    assert json.loads(rwlock(toy)) == {}


TORN_WRITE = """
import os, signal, sys
from flows.stages.patient_dvc import LocalFileSystem, whole
with whole(LocalFileSystem.open)(LocalFileSystem(), sys.argv[1], "w+", encoding="utf-8") as file:
    file.write("half of it")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["dvc.lock", "rwlock"])
def test_a_kill_in_the_middle_of_a_write_leaves_the_file_as_it_was(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("all of it")
    command = [sys.executable, "-c", TORN_WRITE, str(file)]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == "all of it"


@pytest.mark.timeout(300)
def test_two_workspaces_that_train_the_very_same_do_it_once(tmp_path: Path) -> None:
    first = copy_project(tmp_path / "first")
    params = yaml.safe_load((first / "params.yaml").read_text())
    run_of = {"problem": "classification", "dataset": "digits", "family": "softmax", "epochs": 100}
    params |= {"problems": ["classification"], "datasets": ["digits"], "runs": {"softmax-digits": run_of}}
    (first / "params.yaml").write_text(yaml.safe_dump(params))
    env = os.environ | {"REGATTA_HOME": str(tmp_path / "home")}
    for task in ("tasks.download", "tasks.preprocess"):
        subprocess.run([sys.executable, "-m", task, "digits"], cwd=first, env=env, check=True)
    second = tmp_path / "second"
    shutil.copytree(first, second)
    command = [sys.executable, "-m", "tasks.train", "softmax-digits"]
    both = [
        subprocess.Popen(command, cwd=place, env=env, stdout=subprocess.PIPE, text=True)
        for place in (first, second)
    ]
    said = [process.communicate(timeout=250)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("epoch 1/100" in text for text in said) == 1  # one trained …
    assert sum("waiting for it" in text for text in said) == 1  # … and the other waited
    weights = [(place / "trained/softmax-digits/last.safetensors").read_bytes() for place in (first, second)]
    assert weights[0] == weights[1]
