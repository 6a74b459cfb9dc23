"""`python -m flows.services` and the deployments that it registers, on a toy that holds our flows."""

import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import services
from flows.processes.leashes import Leashes
from flows.serving import servers
from flows.serving.embedded import answers
from flows.serving.ports import free_port
from regatta.blank_databases import blank_database
from tests.toy import PROJECT, ask, ask_all, listening, make_toy, mark, marked, run, start, wait_until

FINAL = {"Completed", "Cached"}


@dataclass(frozen=True)
class Up:
    """Services that are up."""

    toy: Path
    ports: dict[str, int]
    mark: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['prefect']}/api"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Generator[Up]:
    toy = make_toy(tmp_path_factory.mktemp("services") / "toy")
    for name in ("flows", "regatta"):
        shutil.copytree(PROJECT / name, toy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "prefect.yaml", toy)
    ports = {name: free_port() for name in ("prefect", "mlflow", "ray")}
    env = mark()
    with booted(toy, ports, env) as up:
        yield up
    wait_until(lambda: not marked(env), 15)


@contextmanager
def booted(toy: Path, ports: dict[str, int], env: dict[str, str]) -> Generator[Up]:
    """The services, up; killed at the end."""
    with start(toy, "flows.services", *options(ports), **env) as process:
        assert process.stdout
        said = ""
        while "Ctrl-C ends all" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert all(str(port) in said for port in ports.values())
        yield Up(toy, ports, env, process)
        process.kill()


def options(ports: dict[str, int]) -> list[str]:
    return [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]


def deploy(up: Up, name: str, **parameters: Any) -> str:
    """Ask for a flow run of a deployment, as `prefect deployment run` does; its id."""
    with urllib.request.urlopen(f"{up.api}/deployments/name/{name}", timeout=60) as reply:
        deployment = json.loads(reply.read())["id"]
    return ask(up.api, f"deployments/{deployment}/create_flow_run", {"parameters": parameters})["id"]


def flow_run(up: Up, run_id: str) -> dict[str, Any]:
    [row] = ask_all(up.api, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    return row


def ended(up: Up, run_id: str) -> dict[str, Any]:
    """State of the flow run once it is final."""
    final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    wait_until(lambda: flow_run(up, run_id)["state"]["type"] in final, 150)
    return flow_run(up, run_id)["state"]


def test_servers_answer(up: Up) -> None:
    for address in (f"{up.api}/health", f"http://127.0.0.1:{up.ports['mlflow']}/health"):
        with urllib.request.urlopen(address, timeout=10) as reply:
            assert reply.status == 200
    with socket.create_connection(("127.0.0.1", up.ports["ray"]), timeout=10):
        pass


def test_nothing_listens_beyond_this_machine(up: Up) -> None:
    places = listening(up.mark)
    assert len(places) >= len(up.ports)
    for name, place in places:
        address = ip_address(place)
        assert (getattr(address, "ipv4_mapped", None) or address).is_loopback, (name, place)


def test_deployments_have_a_form(up: Up) -> None:
    rows = ask_all(up.api, "deployments/filter", {})
    assert len(rows) == 3
    for row in rows:
        form = row["parameter_openapi_schema"]["properties"]
        assert form["runs"]["type"] == form["set"]["type"] == "array"
        assert form["concurrency"]["type"] == form["retries"]["type"] == "integer"
        assert "defaults.epochs=5" in form["set"]["description"]


def test_a_deployed_flow_runs_with_artifacts_and_the_servers_at_hand(up: Up) -> None:
    (up.toy / "play" / "train-three.env").touch()
    code, output = run(
        up.toy,
        *("prefect", "deployment", "run", "train-segmentation/local", "--watch"),
        *("--param", 'runs=["three"]'),
        PREFECT_API_URL=up.api,
        PREFECT_HOME=str(up.toy / ".regatta" / "prefect"),
    )
    assert code == 0, output
    [row] = ask_all(up.api, "flow_runs/filter", {"flows": {"name": {"any_": ["train-segmentation"]}}})
    assert (row["state"]["type"], row["state"]["message"]) == ("COMPLETED", "4 done")
    artifacts = {
        a["key"]: a for a in ask_all(up.api, "artifacts/filter", {}) if a["flow_run_id"] == row["id"]
    }
    assert artifacts["stages"]["data"] == 100
    assert "| 1 | three | f | d | 0.5000 |" in artifacts["ranking-segmentation"]["data"]
    assert json.loads((up.toy / "play" / "train-three.env").read_text()) == {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{up.ports['mlflow']}",
        "RAY_ADDRESS": f"127.0.0.1:{up.ports['ray']}",
    }


def test_two_overrides_at_once_and_an_unknown_run(up: Up) -> None:
    held = up.toy / "play" / "train-two.held"
    held.touch()
    wrong = deploy(up, "train-classification/local", runs=["three"])
    both = [deploy(up, "reproduce/local", runs=["two"], set=[f"runs.two.lr={lr}"]) for lr in (0.5, 0.7)]
    wait_until(lambda: all(flow_run(up, run_id)["state_type"] == "RUNNING" for run_id in both), 100)
    held.unlink()
    assert [ended(up, run_id)["type"] for run_id in both] == ["COMPLETED", "COMPLETED"]
    rows = [flow_run(up, run_id) for run_id in both]
    assert max(row["start_time"] for row in rows) < min(row["end_time"] for row in rows)
    places = [path for path in (up.toy / ".regatta" / "workspaces").iterdir() if path.is_dir()]
    texts = sorted((place / "trained" / "two").read_text() for place in places)
    assert ["lr: 0.5" in texts[0], "lr: 0.7" in texts[1]] == [True, True]
    assert not (up.toy / "trained" / "two").exists()
    refusal = ended(up, wrong)
    assert refusal["type"] == "FAILED"
    assert refusal["message"].startswith("params.yaml: no classification run 'three'")


def test_a_flow_from_the_command_line_shows_up_here(up: Up) -> None:
    code, output = run(up.toy, "flows.reproduce", "two")
    assert code == 0, output
    rows = ask_all(up.api, "flow_runs/filter", {"flows": {"name": {"any_": ["reproduce"]}}})
    assert [row["state"]["type"] for row in rows if "pid-" in "".join(row["tags"])] == ["COMPLETED"]


def test_cancelling_ends_what_the_flow_started(up: Up) -> None:
    (up.toy / "play" / "train-one.hang").touch()
    before = len(marked(up.mark))
    run_id = deploy(up, "train-classification/local", runs=["one"], retries=0)
    wait_until(lambda: (up.toy / "play" / "train-one.hanging").exists(), 100)
    assert len(marked(up.mark)) > before
    ask(up.api, f"flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    wait_until(lambda: not [c for c in marked(up.mark) if "sleep(600)" in c or "train one" in c], 30)
    assert ended(up, run_id)["type"] == "CANCELLED"


def test_a_taken_port_is_one_line(up: Up) -> None:
    code, output = run(up.toy, "flows.services", *options(up.ports))
    assert code == 2
    assert f"error: port {up.ports['prefect']} of 127.0.0.1 is taken" in output
    assert len(output.splitlines()) == 1


def process_of(up: Up, *words: str) -> psutil.Process | None:
    """The process of the services whose command line holds *words*; not its leash."""
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            is_it = all(word in line for word in words) and "leash.py" not in line
            if is_it and process.environ().get("TOY_MARK") == up.mark["TOY_MARK"]:
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def kill(up: Up, *words: str) -> None:
    process = process_of(up, *words)
    assert process
    process.kill()


def lines_of(up: Up, run_id: str) -> int:
    lines = ask_all(up.api, "logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
    return sum(line["message"].startswith("line ") for line in lines)


@pytest.mark.timeout(400)
def test_a_flow_outlasts_the_death_of_prefects_server(up: Up) -> None:
    (up.toy / "play" / "train-three.wait").write_text("12")
    (up.toy / "play" / "train-three.lines").write_text("300")
    (up.toy / "params.yaml").write_text(
        (up.toy / "params.yaml").read_text().replace("epochs: 2", "epochs: 3")
    )
    run_id = deploy(up, "train-segmentation/local", runs=["three"], retries=0)
    wait_until(lambda: process_of(up, "step.py", "train three"), 100)
    # A client of Prefect's gives up at once when it has never been connected: so also that of a flow's log.
    wait_until(lambda: lines_of(up, run_id), 60)
    kill(up, "prefect", "server", "start")
    wait_until(lambda: answers(f"{up.api}/health"), 100)
    # One stage is cached when the tests before this one have run.
    assert ended(up, run_id)["message"] in ("1 cached, 3 done", "4 done")
    query = {"flow_runs": {"id": {"any_": [run_id]}}}
    wait_until(lambda: {r["state"]["name"] for r in ask_all(up.api, "task_runs/filter", query)} == FINAL, 60)
    # The flow's process sends its last lines after its last state.
    wait_until(lambda: lines_of(up, run_id) == 300, 100)


def hang(up: Up) -> str:
    """A deployed flow run that has come to a stage that never ends; its id."""
    (up.toy / "play" / "train-one.hang").touch()
    (up.toy / "play" / "train-one.hanging").unlink(missing_ok=True)
    run_id = deploy(up, "train-classification/local", runs=["one"], retries=0)
    wait_until(lambda: (up.toy / "play" / "train-one.hanging").exists(), 100)
    return run_id


@pytest.mark.timeout(400)
def test_flow_runs_end_with_a_killed_worker_which_comes_back(up: Up) -> None:
    run_id = hang(up)
    kill(up, "prefect", "worker", "start")
    wait_until(lambda: not [c for c in marked(up.mark) if "sleep(600)" in c or "train one" in c], 10)
    assert ended(up, run_id)["type"] == "CRASHED"
    wait_until(lambda: process_of(up, "prefect", "worker", "start"), 60)


@pytest.mark.timeout(400)
def test_after_sigkill_the_next_start_ends_what_was_left_and_ctrl_c_ends_all(up: Up) -> None:
    run_id = hang(up)
    up.process.kill()
    wait_until(lambda: not marked(up.mark), 10)
    with booted(up.toy, up.ports, up.mark) as again:
        state = flow_run(again, run_id)["state"]
        assert (state["type"], state["message"]) == ("CRASHED", "its process is gone")
        assert len(marked(up.mark)) > 8
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(30) == 0
    assert not marked(up.mark)
    assert not (up.toy / ".regatta" / "services.json").exists()


def test_pages_alone_begin_with_a_database_that_is_a_copy_and_end_on_ctrl_c(tmp_path: Path) -> None:
    toy, port, marks = make_toy(tmp_path / "toy"), free_port(), mark()
    with start(toy, "flows.ui", "--mlflow-port", str(port), **marks) as process:
        assert process.stdout
        assert process.stdout.readline() == f"MLflow  http://127.0.0.1:{port}\n"
        database = toy / ".regatta" / "mlflow.db"
        assert database.stat().st_size == blank_database("mlflow").stat().st_size
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert said.endswith("ended\n")
    assert process.returncode == 0
    wait_until(lambda: not marked(marks), 15)


def test_a_worker_that_died_with_prefects_server_waits_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Dead:
        def __init__(self, name: str) -> None:
            self.name, self.has_ended = name, True

        def start_again(self) -> None:
            self.has_ended = False
            told.append(self.name)

    def look_again(_: float) -> None:
        if "look" in told:
            raise KeyboardInterrupt
        told.append("look")

    told: list[str] = []
    server = servers.Service("prefect", (), lambda: "look" in told)
    monkeypatch.setattr(services, "do", lambda errand, *_: told.append(errand.name))
    monkeypatch.setattr(services.time, "sleep", look_again)
    with pytest.raises(KeyboardInterrupt):
        services._tend(server, [Dead("prefect"), Dead(servers.WORKER)], {}, Leashes())
    assert told == ["prefect", "look", "dead-runs", "worker"]
