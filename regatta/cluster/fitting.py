"""Run a training function with Ray Train: in this process for one worker, on real Ray workers for more.

One worker that finds what it needs on this machine is Ray Train's local mode (`num_workers=0`): same
trainer, same function, no actors, which saves their start. Others are real workers, on the Ray at
`RAY_ADDRESS` when that is set.
The function resumes from its own checkpoints, so that a failed worker group is simply started again.
"""

import os
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch

from regatta.cluster.connection import RAY_TRAIN, connected_ray
from regatta.cluster.fault import fault_in, hand_over, make_room_for_fault
from regatta.cluster.lines import lines_shown, speak_into
from regatta.cluster.resources import Resources, device_of, resources_of
from regatta.cluster.watchdog import watched
from regatta.engine.checkpoint import newest_name
from regatta.engine.job import Job
from regatta.engine.process import set_up_process
from regatta.engine.world import World
from regatta.errors import RegattaError, line_of
from regatta.garbage import collect_as_usual

Say = Callable[[str], None]
Work = Callable[[Job, World, Say], None]
"""What each worker does with the job; `say` brings a line to the driver's stdout."""
RESTARTS = 3
"""So often are lost workers started again by one trainer, and so often by a trainer that got nowhere."""


def fit(work: Work, job: Job) -> None:
    """Let the workers that `job.recipe` asks for do *work* together.

    Raises:
        RegattaError: they cannot be had, one of them met a fault that a person can mend, or they were
            lost again and again without getting further.
    """
    os.environ.update(RAY_TRAIN)  # Ray reads it when it is imported.
    make_room_for_fault(job.folder)
    here = torch.cuda.device_count()
    with ExitStack() as connection:
        resources = resources_of(job.recipe, job.run, _gpus(job, here, connection))
        if resources.workers == 1 and resources.gpus_per_worker <= here:
            connection.close()  # Who trains alone must not go down with a Ray that was only asked.
            _fit_here(work, job, resources)
        else:
            with connected_ray(job.recipe, resources), lines_shown(job.folder / "workers"):
                _fit_on_ray(work, job, resources)
    if fault := fault_in(job.folder):
        raise RegattaError(fault)


def _gpus(job: Job, here: int, connection: ExitStack) -> int:
    """GPUs that can be had: this machine's, else those of the Ray that we are told to use."""
    if here or job.recipe.gpus_per_worker == 0 or os.environ.get("RAY_ADDRESS", "local") == "local":
        return here
    ray = connection.enter_context(connected_ray(job.recipe, None))
    return int(ray.cluster_resources().get("GPU", 0))


def _fit_here(work: Work, job: Job, resources: Resources) -> None:
    from regatta.cluster.trainer import trainer

    trainer(partial(_on_worker, _Task(work, job, resources, remote=False)), job, resources, 0).fit()


def _fit_on_ray(work: Work, job: Job, resources: Resources) -> None:
    """Until it is done: with new trainers for as long as each of them gets further than the one before."""
    from regatta.cluster.trainer import TrainingFailedError, trainer

    # Bound to its task, and not given a config: Ray Train's controller reads configs, and would import torch.
    on_worker = partial(_on_worker, _Task(work, job, resources, remote=True))
    while True:
        before = newest_name(job.folder / "checkpoints")
        try:
            trainer(on_worker, job, resources, RESTARTS).fit()
            return
        except TrainingFailedError as failure:
            if fault_in(job.folder):
                return
            if newest_name(job.folder / "checkpoints") == before:
                raise RegattaError(_lost(job, failure)) from None
            print("its workers were lost; others go on from the last checkpoint", flush=True)


def _lost(job: Job, failure: Exception) -> str:
    return (
        f"run {job.run}: its workers were lost {RESTARTS + 1} times without getting further; the lines above "
        f"say why ({' '.join(str(failure).split())[:200]}); the same command goes on from the last checkpoint"
    )


@dataclass(frozen=True)
class _Task:
    """What a worker is sent."""

    work: Work
    job: Job
    resources: Resources
    remote: bool
    """Whether the worker's stdout is not the driver's."""


def _on_worker(task: _Task) -> None:
    import ray.train

    context, job = ray.train.get_context(), task.job
    rank = context.get_world_rank()
    if task.remote:
        speak_into(job.folder / "workers", rank)
    if fault_in(job.folder):
        return  # An attempt before this one met it: trying again would, too.
    if task.remote and rank == 0:
        size = context.get_world_size()
        print(f"training with {size} worker{'s'[: size > 1]}", flush=True)
    set_up_process(task.resources.threads_per_worker)
    collect_as_usual()
    device = device_of(task.resources, context.get_local_rank())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with watched(job.recipe.hang_timeout_s, f"run {job.run}, worker {rank}") as beat:
        world = World(rank, context.get_world_size(), device, beat)
        _do(task, world)


def _do(task: _Task, world: World) -> None:
    try:
        task.work(task.job, world, _say if world.leads else _unsaid)
    except (ConnectionError, TimeoutError):  # OSErrors too, but those of a lost neighbour
        _print_traceback(task)
        raise
    except (RegattaError, OSError) as fault:
        hand_over(task.job.folder, line_of(fault))
        if world.size > 1:
            raise  # Not all may have met it: those who wait for this one are ended and started again.
    except Exception:
        _print_traceback(task)
        raise


def _print_traceback(task: _Task) -> None:
    """Into the worker's lines: Ray shows it to the driver only when it gives up."""
    if task.remote:
        traceback.print_exc()


def _say(line: str) -> None:
    print(line, flush=True)


def _unsaid(line: str) -> None:
    """What every worker would say is said by the leading one."""
