"""Run a training function: in this process for one worker, on Ray Train's workers for more.

One worker that finds what it needs on this machine has nobody to be distributed to, and does without Ray,
whose import alone takes a second. Others are Ray's, on the Ray at `RAY_ADDRESS` when that is set.
The function resumes from its own checkpoints, so that a failed worker group is simply started again.
"""

import os
import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from regatta.cluster.connection import connected_ray
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
    here = torch.cuda.device_count()
    with ExitStack() as connection:
        resources = resources_of(job.recipe, job.run, _gpus(job, here, connection))
        if resources.workers == 1 and resources.gpus_per_worker <= here:
            connection.close()  # Who trains alone must not go down with a Ray that was only asked.
            fit_here(work, job, resources)
        else:
            fit_on_ray(work, job, resources)


def fit_here(work: Work, job: Job, resources: Resources) -> None:
    """Do *work* in this process, the only worker; what it raises comes out."""
    with _worker(job, resources, 0, 1, 0) as world:
        work(job, world, _say)


def fit_on_ray(work: Work, job: Job, resources: Resources) -> None:
    """Let Ray's workers do *work*, though it be one; raises as `fit` does."""
    make_room_for_fault(job.folder)
    with connected_ray(job.recipe, resources), lines_shown(job.folder / "workers"):
        _fit_until_done(work, job, resources)
    if fault := fault_in(job.folder):
        raise RegattaError(fault)


def _gpus(job: Job, here: int, connection: ExitStack) -> int:
    """GPUs that can be had: of this machine where they suffice, else of the Ray that we are told to use."""
    wanted = 1 if job.recipe.workers == "auto" else job.recipe.workers
    is_alone = os.environ.get("RAY_ADDRESS", "local") == "local"
    if here >= wanted or job.recipe.gpus_per_worker == 0 or is_alone:
        return here
    ray = connection.enter_context(connected_ray(job.recipe, None))
    return int(ray.cluster_resources().get("GPU", 0))


def _fit_until_done(work: Work, job: Job, resources: Resources) -> None:
    """With new trainers for as long as each of them gets further than the one before."""
    from regatta.cluster.trainer import TrainingFailedError, trainer

    # Bound to its task, and not given a config: Ray Train's controller reads configs, and would import torch.
    on_worker = partial(_on_worker, _Task(work, job, resources))
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


def _on_worker(task: _Task) -> None:
    import ray.train

    context, job = ray.train.get_context(), task.job
    rank, size = context.get_world_rank(), context.get_world_size()
    speak_into(job.folder / "workers", rank)
    if fault_in(job.folder):
        return  # An attempt before this one met it: trying again would, too.
    if rank == 0:
        print(f"training with {size} worker{'s'[: size > 1]}", flush=True)
    with _worker(job, task.resources, rank, size, context.get_local_rank()) as world:
        _do(task, world)


@contextmanager
def _worker(
    job: Job, resources: Resources, rank: int, size: int, local_rank: int
) -> Generator[World, None, None]:
    """What worker *rank* of *size* knows of the others; its process is set up, and watched meanwhile."""
    set_up_process(resources.threads_per_worker)
    collect_as_usual()
    device = device_of(resources, local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with watched(job.recipe.hang_timeout_s, f"run {job.run}, worker {rank}") as beat:
        yield World(rank, size, device, beat)


def _do(task: _Task, world: World) -> None:
    try:
        task.work(task.job, world, _say if world.leads else _unsaid)
    except (ConnectionError, TimeoutError):  # OSErrors too, but those of a lost neighbour
        traceback.print_exc()  # into the worker's lines: Ray shows it to the driver only when it gives up
        raise
    except (RegattaError, OSError) as fault:
        hand_over(task.job.folder, line_of(fault))
        if world.size > 1:
            raise  # Not all may have met it: those who wait for this one are ended and started again.
    except Exception:
        traceback.print_exc()
        raise


def _say(line: str) -> None:
    print(line, flush=True)


def _unsaid(line: str) -> None:
    """What every worker would say is said by the leading one."""
