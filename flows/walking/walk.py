"""The shared walk of the graph: one Prefect task run per stage, each as soon as it can be."""

import contextlib
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed

from flows.stages.dvc_start import DvcStart
from flows.stages.stage import run_stage
from flows.walking.events import Ending, Event, Listen
from flows.walking.graph import Stage, changed_now
from flows.walking.insisting import insist
from flows.walking.lock_order import lock_in_order


@dataclass(frozen=True)
class Pace:
    """How a walk is to go."""

    concurrency: int = 2
    retries: int = 0
    retry_delay_s: float = 10.0


@dataclass
class Walk:
    """Where a walk stands."""

    root: Path
    waiting: dict[str, Stage]
    pace: Pace
    listen: Listen
    dvc: DvcStart
    running: set[str] = field(default_factory=set[str])
    futures: dict[str, PrefectFuture[Any]] = field(default_factory=dict[str, PrefectFuture[Any]])
    endings: dict[str, Ending] = field(default_factory=dict[str, Ending])


def walk(root: Path, stages: Sequence[Stage], pace: Pace, listen: Listen, dvc: DvcStart) -> dict[str, Ending]:
    """Bring *stages* of the project at *root* up to date, inside a Prefect flow run.

    Stages are given each after those it needs; needs that are not among them count as met. A stage that
    fails leaves all others running but those that need it. However this is left, by an exception or a
    signal too, no process that it started is left behind.

    Args:
        dvc: starts the stages; closed at the end.

    Returns:
        how each stage ended.
    """
    state = Walk(root, {stage.name: stage for stage in stages}, pace, listen, dvc)
    try:
        if any(stage.changed for stage in stages):
            state.dvc.load()
        progress = insist(
            lambda: create_progress_artifact(0.0, key="stages", description=f"{len(stages)} stages")
        )
        with lock_in_order(root, [stage.name for stage in stages]):
            _go_through(state, cast(UUID, progress))
    finally:
        state.dvc.close()
    return state.endings


def _go_through(state: Walk, progress: UUID) -> None:
    stage_task, stage_count = _stage_task(state), len(state.waiting)
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    _submit_ready(state, stage_task, ended)
    while len(state.endings) < stage_count:
        _note(state, ended.get())
        while not ended.empty():
            _note(state, ended.get())
        _submit_ready(state, stage_task, ended)
        # A server that is away for a moment is no reason to end the stages; the next one tells it all.
        with contextlib.suppress(httpx.TransportError):
            update_progress_artifact(progress, progress=100 * len(state.endings) / stage_count)


def _submit_ready(state: Walk, stage_task: Any, ended: "queue.SimpleQueue[str]") -> None:
    """Hand to Prefect what can start now: stages to run as far as there is room, all others at once."""
    names = state.waiting.keys() | state.running
    ready = [stage for stage in state.waiting.values() if not names.intersection(stage.upstream)]
    to_run = to_call(state, ready)
    for stage in ready:
        blocked = any(state.endings.get(name) in ("failed", "not run") for name in stage.upstream)
        starts = stage.name in to_run and not blocked
        if starts and len(state.running) >= state.pace.concurrency:
            continue
        if starts:
            state.running.add(stage.name)
        del state.waiting[stage.name]
        upstream = [state.futures[name] for name in stage.upstream if name in state.futures]
        future = stage_task.submit(stage.name, starts, wait_for=upstream)
        state.futures[stage.name] = future
        future.add_done_callback(_tell(ended, stage.name))


def _tell(ended: "queue.SimpleQueue[str]", name: str) -> Callable[[PrefectFuture[Any]], None]:
    return lambda _: ended.put(name)


def to_call(state: Walk, ready: Sequence[Stage]) -> set[str]:
    """Those of *ready* that DVC must be called for.

    What was changed at first is DVC's to run, to restore, or to leave when it fits again. What was not may
    have changed with its upstream, which costs a look, and one only; where nothing ran upstream, the first
    one holds.
    """
    doubtful = {
        stage.name
        for stage in ready
        if not stage.changed and any(state.endings.get(name) == "done" for name in stage.upstream)
    }
    for name in changed_now(state.root, doubtful) if doubtful else ():
        state.waiting[name] = replace(state.waiting[name], changed=True)
    return {stage.name for stage in ready if state.waiting[stage.name].changed}


def _note(state: Walk, name: str) -> None:
    """Write down how a stage ended, and tell."""
    state.futures[name].wait()  # It is over; only now does the future take up its state.
    end_state = state.futures[name].state
    state.running.discard(name)
    state.endings[name] = _ending(end_state)
    text = (end_state.message or "") if state.endings[name] == "failed" else ""
    state.listen(Event(name, state.endings[name], text.rpartition("StageFailed: ")[2]))


def _ending(end_state: State[Any]) -> Ending:
    if end_state.is_completed():
        return "cached" if end_state.name == "Cached" else "done"
    # A task whose upstream failed stays pending for ever, which Prefect calls NotReady.
    return "not run" if end_state.is_pending() else "failed"


def _stage_task(state: Walk) -> Any:
    pace = state.pace

    @task(
        name="stage",
        task_run_name="{name}",
        retries=pace.retries,
        retry_delay_seconds=pace.retry_delay_s,
        cache_policy=NO_CACHE,
    )
    def stage(name: str, starts: bool) -> State[Any] | None:
        if not starts:
            return Completed(name="Cached", message="up to date")
        state.listen(Event(name, "started"))
        run_stage(name, state.root, _to_log(name, state.listen), state.dvc)
        return None

    return stage


def _to_log(name: str, listen: Listen) -> Callable[[str, bool], None]:
    """Lines that stay go to the log of the task run; all go to the listener."""
    logger = get_run_logger()

    def on_line(line: str, passing: bool) -> None:
        if not passing:
            logger.info(line)
        listen(Event(name, "passing" if passing else "line", line))

    return on_line
