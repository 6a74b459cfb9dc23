"""Run a training function with Ray Train: in this process for one worker, on real Ray workers for more.

One worker that finds what it needs on this machine is Ray Train's local mode (`num_workers=0`): same
trainer, same function, no actors, which saves their start. Others are real workers, on the Ray at
`RAY_ADDRESS` when that is set.
The function resumes from its own checkpoints, so that a failed worker group is simply started again.
"""

import logging
import os
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from regatta.cluster.lines import lines_shown, say_into
from regatta.cluster.resources import Resources, device_of, resources_of
from regatta.engine.job import Job
from regatta.engine.world import World
from regatta.errors import RegattaError
from regatta.settings.home import local_ray_environment

Say = Callable[[str], None]
Work = Callable[[Job, World, Say], None]
"""What each worker does with the job; `say` brings a line to the driver's stdout."""
RESTARTS = 3
FAULT = "fault.txt"


def fit(work: Work, job: Job) -> None:
    """Let the workers that `job.recipe` asks for do *work* together.

    Raises:
        RegattaError: they cannot be had, or one of them met a fault that a person can mend.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
    fault = job.folder / FAULT
    fault.unlink(missing_ok=True)
    here = torch.cuda.device_count()
    with _connected(job, here) as gpus:
        resources = resources_of(job.recipe, job.run, gpus)
        if resources.workers == 1 and resources.gpus_per_worker <= here:
            _trainer(work, job, resources, workers=0).fit()
        else:
            _fit_on_ray(work, job, resources)
    if fault.exists():
        raise RegattaError(fault.read_text(encoding="utf-8"))


@contextmanager
def _connected(job: Job, here: int) -> Generator[int, None, None]:
    """GPUs that can be had: this machine's, else those of the Ray that we are told to use."""
    if here or job.recipe.gpus_per_worker == 0 or "RAY_ADDRESS" not in os.environ:
        yield here
        return
    with _ray(job) as ray:
        yield int(ray.cluster_resources().get("GPU", 0))


def _fit_on_ray(work: Work, job: Job, resources: Resources) -> None:
    with _ray(job), lines_shown(job.folder / "workers"):
        _trainer(work, job, resources, resources.workers).fit()


@contextmanager
def _ray(job: Job) -> Generator[Any, None, None]:
    """Ray, connected to; ended again unless it was connected before."""
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        os.environ.update(local_ray_environment())  # Ray reads it when it is imported
    import ray

    if ray.is_initialized():
        yield ray
        return
    environment = {"PYTHONPATH": str(Path.cwd()), "RAY_USAGE_STATS_ENABLED": "0"}
    threads = job.recipe.threads_per_worker
    if threads != "auto":
        environment["OMP_NUM_THREADS"] = str(threads)
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"env_vars": environment},
        )
    except ConnectionError:
        raise RegattaError(
            f"RAY_ADDRESS={address}: no Ray answers there; start one (make services), or unset RAY_ADDRESS"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _trainer(work: Work, job: Job, resources: Resources, workers: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ray.train.torch warns of its own deprecations on import
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    return TorchTrainer(
        _on_worker,
        train_loop_config={
            "work": work,
            "job": job.model_dump_json(),
            "resources": asdict(resources),
            "say": _say_to_driver if workers else _say_here,
        },
        torch_config=TorchConfig(backend="nccl" if resources.gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker={"CPU": 1, "GPU": resources.gpus_per_worker} if workers else None,
        ),
        run_config=RunConfig(
            name=job.key[:16],
            storage_path=str((job.folder / "ray").absolute()),
            failure_config=FailureConfig(max_failures=RESTARTS if workers else 0),
        ),
    )


def _on_worker(config: dict[str, Any]) -> None:
    import ray.train

    context = ray.train.get_context()
    job, resources = Job.model_validate_json(config["job"]), Resources(**config["resources"])
    torch.set_num_threads(resources.threads_per_worker)
    device = device_of(resources, context.get_local_rank())
    world = World(context.get_world_rank(), context.get_world_size(), device)
    try:
        config["work"](job, world, config["say"](job, world))
    except RegattaError as fault:
        # Trying again would meet the same fault: it is handed over, and Ray sees a worker that is done.
        (job.folder / FAULT).write_text(str(fault), encoding="utf-8")


def _say_here(job: Job, world: World) -> Say:
    return lambda line: print(line, flush=True)


def _say_to_driver(job: Job, world: World) -> Say:
    if world.leads:
        return lambda line: say_into(job.folder / "workers", world.rank, line)
    return lambda line: None
