"""Run a training function with Ray Train: in this process for one worker, on real Ray workers for more.

One worker on one machine is Ray Train's local mode (`num_workers=0`): same trainer, same function,
no actors, which saves their start. More are real workers, on the Ray at `RAY_ADDRESS` when that is set.
The function resumes from its own checkpoints, so that a failed worker group is simply started again.
"""

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from regatta.cluster.lines import lines_shown, say_into
from regatta.cluster.resources import Resources, device_of, resources_of
from regatta.engine.job import Job
from regatta.engine.world import World
from regatta.errors import RegattaError

Work = Callable[[Job, World, Callable[[str], None]], None]
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
    resources = resources_of(job.recipe, job.run, _gpus())
    if resources.workers == 1 and "RAY_ADDRESS" not in os.environ:
        _trainer(work, job, resources, workers=0).fit()
    else:
        _fit_on_ray(work, job, resources)
    if fault.exists():
        raise RegattaError(fault.read_text(encoding="utf-8"))


def _fit_on_ray(work: Work, job: Job, resources: Resources) -> None:
    import ray

    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        runtime_env={"env_vars": _worker_environment(resources)},
    )
    try:
        with lines_shown(job.folder / "workers"):
            _trainer(work, job, resources, resources.workers).fit()
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
            "threads": resources.threads_per_worker,
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
    job = Job.model_validate_json(config["job"])
    torch.set_num_threads(config["threads"])
    rank, size = context.get_world_rank(), context.get_world_size()
    resources = resources_of(job.recipe, job.run, _gpus())
    world = World(rank, size, device_of(resources, context.get_local_rank()))
    try:
        config["work"](job, world, _say(job, world))
    except RegattaError as fault:
        # Trying again would meet the same fault: it is handed over, and Ray sees a worker that is done.
        _hand_over(job.folder, str(fault))


def _say(job: Job, world: World) -> Callable[[str], None]:
    if world.size == 1 and "RAY_ADDRESS" not in os.environ:
        return lambda line: print(line, flush=True)
    if world.leads:
        return lambda line: say_into(job.folder / "workers", world.rank, line)
    return lambda line: None


def _hand_over(folder: Path, message: str) -> None:
    (folder / FAULT).write_text(message, encoding="utf-8")


def _worker_environment(resources: Resources) -> dict[str, str]:
    return {
        "PYTHONPATH": str(Path.cwd()),
        "OMP_NUM_THREADS": str(resources.threads_per_worker),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _gpus() -> int:
    """GPUs that can be had: the cluster's when one is named, else this machine's."""
    if "RAY_ADDRESS" in os.environ:
        import ray

        if ray.is_initialized():
            return int(ray.cluster_resources().get("GPU", 0))
    return torch.cuda.device_count()
