"""Flow runs whose process is gone, killed perhaps: Prefect would call them running for ever.

`python -m flows.walking.dead_runs` ends them; `make services` does so before its worker takes up anything.
"""

import math
import socket

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed

from flows.processes.alive import is_alive
from regatta.settings.addresses import is_local

UNFINISHED = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
PAGE = 200
"""Prefect's server hands out no more at once."""


def process_tag(pid: int) -> str:
    """Marks a flow run with the process of this machine that runs it."""
    return f"pid-{pid}@{socket.gethostname()}"


def dead_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Unfinished flow runs of this machine's processes that are gone. Those that nobody has begun are not."""
    is_ours = is_local(str(client.api_url))
    return [run for run in _unfinished(client) if (pids := _pids(run, is_ours)) and not _is_any_at(run, pids)]


def forsaken_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Unfinished runs of deployments that a worker took and did not come to start, or is just starting."""
    return [run for run in _unfinished(client) if run.deployment_id and not _pids(run, True)]


def end(client: SyncPrefectClient, run: FlowRun) -> None:
    """Bring a dead run to a state that is final: Cancelled when somebody had asked for that, else Crashed."""
    cancelling = run.state is not None and run.state.type == StateType.CANCELLING
    state = (Cancelled if cancelling else Crashed)(message="its process is gone")
    client.set_flow_run_state(run.id, state, force=True)


def _unfinished(client: SyncPrefectClient) -> list[FlowRun]:
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(UNFINISHED)))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=state), sort=FlowRunSort.ID_DESC, limit=PAGE, offset=len(found)
    ):
        found += page
    return found


def _pids(run: FlowRun, is_ours: bool) -> list[int]:
    """The process of this machine that runs it: of `flows.reproduce` by its tag, of a worker by what that
    wrote down, which does not say on which machine: it counts where the server *is_ours*."""
    tags = (tag.partition("@") for tag in run.tags if tag.startswith("pid-"))
    texts = [pid.removeprefix("pid-") for pid, _, host in tags if host == socket.gethostname()]
    worker = run.infrastructure_pid if is_ours else None
    return [int(text) for text in (*texts, worker or "") if text.isdecimal()]


def _is_any_at(run: FlowRun, pids: list[int]) -> bool:
    # A process that began after the run did is another one with the same number. When it did is told by its
    # state: of a run that is tried again, Prefect's start is that of the first try.
    state = run.state
    has_begun = state is not None and state.type in (StateType.RUNNING, StateType.CANCELLING)
    since_s = state.timestamp.timestamp() if state is not None and has_begun else math.inf
    return any(is_alive(pid, since_s) for pid in pids)


def main() -> None:
    """End the dead; and the forsaken, for while this is called no worker has taken anything yet."""
    with get_client(sync_client=True) as client:
        for run in [*dead_runs(client), *forsaken_runs(client)]:
            end(client, run)


if __name__ == "__main__":
    main()
