"""The parallel walk: `python -m flows.reproduce` against a shared Prefect server, on toys."""

import signal
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.toy import ask_all, make_toy, mark, marked, prefect_server, run, start, wait_until

WALK = ("flows.reproduce", "--concurrency", "3")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Address of one server for all tests here."""
    with prefect_server(tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, api: str) -> tuple[Path, str]:
    """A toy after its first walk, and what the walk printed."""
    toy = make_toy(tmp_path_factory.mktemp("done") / "toy")
    code, output = run(toy, *WALK, PREFECT_API_URL=api)
    assert code == 0, output
    return toy, output


def last_flow_run(api: str) -> dict[str, Any]:
    return ask_all(api, "flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})[0]


def task_states(api: str, flow_run: dict[str, Any]) -> dict[str, str]:
    """Name of the last state of each task run."""
    rows = ask_all(api, "task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
    return {row["name"]: row["state"]["name"] for row in rows}


def started(output: str) -> list[str]:
    return [line.split(" | ")[0] for line in output.splitlines() if line.endswith(" | started")]


def test_parallel_walk_leaves_the_lock_of_a_serial_repro(done: tuple[Path, str], tmp_path: Path) -> None:
    serial = make_toy(tmp_path / "serial")
    code, output = run(serial, "dvc", "repro")
    assert code == 0, output
    assert (done[0] / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()


def test_every_stage_is_a_task_run_that_started_after_its_upstream(done: tuple[Path, str], api: str) -> None:
    output = done[1]
    order = started(output)
    assert len(order) == 10
    assert order.index("download@e") < order.index("train@three") < order.index("report@segmentation")
    assert "10 done" in output
    assert "report: report/classification/index.html" in output
    runs = ask_all(api, "flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
    assert set(task_states(api, runs[0]).values()) == {"Completed"}
    kinds = Counter(
        row["key"] for row in ask_all(api, "artifacts/filter", {}) if row["flow_run_id"] == runs[0]["id"]
    )
    assert kinds == {"stages": 1, "ranking-classification": 1, "ranking-segmentation": 1}


def test_all_up_to_date_starts_neither_prefect_nor_a_stage(done: tuple[Path, str]) -> None:
    # A server that does not answer would be noticed, were it asked.
    code, output = run(done[0], *WALK, PREFECT_API_URL="http://127.0.0.1:9/api", **mark())
    assert (code, started(output)) == (0, [])
    assert "all is up to date" in output
    assert not (done[0] / ".regatta" / "prefect" / "prefect.db").exists()


def test_unchanged_stages_start_no_process_but_are_task_runs(done: tuple[Path, str], api: str) -> None:
    toy = done[0]
    (toy / "params.yaml").write_text((toy / "params.yaml").read_text().replace("lr: 0.2", "lr: 0.3"))
    code, output = run(toy, *WALK, PREFECT_API_URL=api)
    assert code == 0, output
    states = task_states(api, last_flow_run(api))
    # The evaluation of `two` is new because its weights are; the report because a result is.
    ran = {"train@two", "evaluate@two", "report@classification"}
    assert set(started(output)) == ran
    assert {name for name, state in states.items() if state == "Completed"} == ran
    assert {state for name, state in states.items() if name not in ran} == {"Cached"}
    assert len(states) == 10


def test_failure_leaves_the_others_running_and_a_retry_mends_it(tmp_path: Path, api: str) -> None:
    toy = make_toy(tmp_path / "toy")
    (toy / "play" / "train-one.fail").write_text("2")
    code, output = run(toy, *WALK, PREFECT_API_URL=api)
    assert code == 1
    assert "train@one | failed: train@one: one is broken on purpose" in output
    assert "1 failed" in output and "2 not run" in output and "7 done" in output
    flow_run = last_flow_run(api)
    states = task_states(api, flow_run)
    assert flow_run["state"]["type"] == "FAILED"
    assert states["train@one"] == "Failed"
    assert states["evaluate@one"] == states["report@classification"] == "NotReady"
    assert states["evaluate@two"] == states["report@segmentation"] == "Completed"

    (toy / "play" / "train-one.lines").write_text("1500")
    code, output = run(toy, *WALK, "--retries", "1", "--retry-delay", "0.1", PREFECT_API_URL=api)
    assert code == 0, output
    assert output.count("train@one | started") == 2
    flow_run = last_flow_run(api)
    runs = ask_all(api, "task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
    [train] = [row for row in runs if row["name"] == "train@one"]
    assert train["run_count"] == 2
    check_lines(api, train["id"])


def check_lines(api: str, task_run_id: str) -> None:
    """Both tries printed 1500 lines: all are in the log of the task run, in order."""
    query = {"logs": {"task_run_id": {"any_": [task_run_id]}}, "sort": "TIMESTAMP_ASC"}
    messages = [row["message"] for row in ask_all(api, "logs/filter", query)]
    assert [m for m in messages if m.startswith("line ")] == [f"line {n} of many" for n in range(1500)] * 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_an_interrupted_flow(how: signal.Signals, tmp_path: Path, api: str) -> None:
    toy = make_toy(tmp_path / "toy")
    (toy / "play" / "download-e.hang").touch()
    env = mark()
    with start(toy, *WALK, PREFECT_API_URL=api, **env) as process:
        wait_until(lambda: (toy / "play" / "download-e.hanging").exists())
        process.send_signal(how)
        wait_until(lambda: not marked(env), 10)
        output = process.communicate()[0]
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGTERM)
    assert "Traceback" not in output
    assert last_flow_run(api)["state"]["type"] == "CRASHED"
