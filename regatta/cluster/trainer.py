"""Ray Train's trainer for a job. Importing this costs seconds: Ray Train brings Ray Data and pandas along."""

import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

from regatta.cluster.resources import Resources
from regatta.engine.job import Job

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # ray.train.torch warns of its own deprecations on import
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    from regatta.cluster.meeting import MeetOverFile, is_this_machine

__all__ = ["TrainingFailedError", "trainer"]


def trainer(
    on_worker: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    job: Job,
    resources: Resources,
    restarts: int,
) -> TorchTrainer:
    """A trainer whose workers each call *on_worker* with *config*; with no *restarts*, in this process."""
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    return TorchTrainer(
        on_worker,
        train_loop_config=config,
        torch_config=_meeting(job, resources),
        scaling_config=_scaling(job, resources) if restarts else ScalingConfig(num_workers=0),
        run_config=RunConfig(
            name=job.key[:16],
            storage_path=str((job.folder / "ray").absolute()),
            failure_config=FailureConfig(max_failures=restarts),
        ),
    )


def _meeting(job: Job, resources: Resources) -> TorchConfig:
    backend = "nccl" if resources.gpus_per_worker else "gloo"
    if is_this_machine(os.environ.get("RAY_ADDRESS", "local")):
        return MeetOverFile(backend, folder=str(job.folder.absolute() / "meetings"))
    return TorchConfig(backend)


def _scaling(job: Job, resources: Resources) -> ScalingConfig:
    fewest, most = job.recipe.workers_min, resources.workers
    return ScalingConfig(
        num_workers=most if fewest == "workers" or fewest == most else (fewest, most),
        elastic_resize_monitor_interval_s=job.recipe.resize_every_s,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker={"CPU": 1, "GPU": resources.gpus_per_worker},
    )
