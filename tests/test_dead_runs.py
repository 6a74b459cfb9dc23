"""Which flow runs are called dead: those of this machine's processes that are gone, and no others."""

import os
import socket
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psutil
import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from flows.walking import dead_runs
from flows.walking.dead_runs import process_tag

GONE = 2**22 + 1
"""More than the system gives out."""
LOCAL, REMOTE = "http://127.0.0.1:4200/api", "http://prefect.example.org/api"
NOW = datetime.now(UTC)


class Client:
    """What is asked of Prefect's."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url


def flow_run(*tags: str, pid: int | None = None, since: datetime = NOW, start: datetime = NOW) -> FlowRun:
    state = State(type=StateType.RUNNING, timestamp=since)
    worker = None if pid is None else str(pid)
    return FlowRun(flow_id=uuid4(), tags=list(tags), state=state, start_time=start, infrastructure_pid=worker)


def is_dead(run: FlowRun, api_url: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(dead_runs, "_unfinished", lambda _: [run])
    return bool(dead_runs.dead_runs(Client(api_url)))


@pytest.mark.parametrize("api_url", [LOCAL, REMOTE])
def test_one_of_this_machine_is_judged_wherever_the_server_is(
    api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_dead(flow_run(process_tag(GONE)), api_url, monkeypatch)
    assert not is_dead(flow_run(process_tag(os.getpid())), api_url, monkeypatch)


def test_one_of_another_machine_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = process_tag(GONE).replace(socket.gethostname(), "elsewhere")
    assert not is_dead(flow_run(elsewhere), REMOTE, monkeypatch)
    assert not is_dead(flow_run(pid=GONE), REMOTE, monkeypatch)
    assert is_dead(flow_run(pid=GONE), LOCAL, monkeypatch)


def test_one_that_is_tried_again_by_a_younger_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    began = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    first_try = began - timedelta(hours=1)
    again = flow_run(pid=os.getpid(), since=began + timedelta(seconds=1), start=first_try)
    assert not is_dead(again, LOCAL, monkeypatch)
    assert is_dead(flow_run(pid=os.getpid(), since=first_try, start=first_try), LOCAL, monkeypatch)
