"""The body that all flows share: plan, walk, and leave the ranking as an artifact."""

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

import fastapi
import httpx
from prefect import flow, flow_engine, tags, task_engine
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed, Failed
from prefect.utilities import visualization
from pydantic import Field

from flows.processes.leashes import Leashes
from flows.stages.dvc_start import DvcStart
from flows.walking.course import Plan, planned
from flows.walking.dead_runs import dead_runs, end, process_tag
from flows.walking.events import Ending, Listen, unheard
from flows.walking.insisting import insist
from flows.walking.outcome import markdown, read_outcome
from flows.walking.walk import Pace, walk
from regatta.errors import RegattaError
from regatta.settings.card import ProblemName

LOADED = (fastapi, flow_engine, task_engine, visualization)
"""What Prefect would import when a flow and a task run first: here while its server starts."""

Runs = list[str]
Overrides = list[str]
Retries = Annotated[int, Field(ge=0, le=100)]
RetryDelay = Annotated[float, Field(ge=0, le=86400)]
Concurrency = Annotated[int, Field(ge=1, le=1024)]
"""Parameters of deployed flows; their descriptions in Prefect's form come from the flows' docstrings."""


def run_planned(
    runs: list[str], overrides: list[str], pace: Pace, problem: ProblemName | None = None
) -> State[Any]:
    """The whole of a deployed flow. Returns the state that the flow run is to end in."""
    try:
        with planned(tuple(runs), tuple(overrides), problem) as plan:
            return run_plan(plan, pace, unheard, DvcStart(Leashes()))
    except RegattaError as fault:
        # A state rather than an exception: the person sees one line, not a traceback.
        return Failed(message=str(fault))


def run_plan(plan: Plan, pace: Pace, listen: Listen, dvc: DvcStart) -> State[Any]:
    """Walk *plan* inside a flow run; leave a markdown artifact for each problem that has a report."""
    endings = walk(plan.root, plan.stages, pace, listen, dvc)
    for problem in plan.problems:
        outcome = read_outcome(plan.root, problem)
        if outcome:
            ranking, place = markdown(outcome), str(plan.root)
            insist(partial(create_markdown_artifact, ranking, key=f"ranking-{problem}", description=place))
    message = told(endings)
    return Failed(message=message) if "failed" in endings.values() else Completed(message=message)


def told(endings: Mapping[str, Ending]) -> str:
    """How a walk ended, in one line: `3 done, 2 cached, 1 failed (train@unet), 2 not run`."""
    failed = [name for name, ending in endings.items() if ending == "failed"]
    parts = [f"{count} {ending}" for ending, count in Counter(endings.values()).items()]
    return ", ".join(parts) + (f": {', '.join(failed)} failed" if failed else "")


def run_watched(
    plan: Plan, pace: Pace, listen: Listen, dvc: DvcStart, parameters: Mapping[str, Any]
) -> State[Any]:
    """Run *plan* as a flow run `reproduce` of this very process; all of its logs have arrived after.

    Args:
        parameters: what the plan was made from, for Prefect's pages.
    """

    @flow(name="reproduce", validate_parameters=False)
    def reproduce(order: Mapping[str, Any]) -> State[Any]:
        # The tag is the flow run's: for each tag of a task Prefect asks its server for leave to start it.
        with TagsContext(current_tags=set()), ThreadPoolExecutor(1) as beside:
            housekeeping = beside.submit(end_flows_of_the_dead)
            state = run_plan(plan, pace, listen, dvc)
            housekeeping.result()
            return state

    # Without heartbeats, whose thread sleeps a second at a time and is waited for at the end: whether a flow
    # run is still alive is told by its process.
    alive = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with alive, tags(process_tag(os.getpid())):
        state = reproduce(order=parameters, return_state=True)
    APILogWorker.drain_all(timeout=30)
    EventsWorker.drain_all(timeout=30)
    return state


def end_flows_of_the_dead() -> None:
    """Bring flow runs whose process is gone to a final state. What fails today, the next flow does."""
    with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
        for run in dead_runs(client):
            end(client, run)
