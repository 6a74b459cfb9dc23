"""Ray Train's trainer for a job. Importing this costs seconds: Ray Train brings Ray Data and pandas along."""

import logging
import os
import warnings
from collections.abc import Callable
from typing import Any, cast

from regatta.cluster.resources import Resources
from regatta.engine.job import Job

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # ray.train.torch warns of its own deprecations on import
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2._internal.callbacks import DatasetsCallback
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
    from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
    from ray.train.v2.api.exceptions import TrainingFailedError

    from regatta.cluster.group import FixedGroup
    from regatta.cluster.meeting import MeetOverFile, is_this_machine

__all__ = ["TrainingFailedError", "trainer"]


class _SparingTrainer(TorchTrainer):
    """Ray Train's trainer without the actors that have nothing to do for us.

    Each is a process that imports Ray Train, at the very time when the workers do: one hands out Ray's data
    sets, one frees the workers' places when the controller is lost (ours ends then, and Ray frees them), and
    one is asked for resources (see `FixedGroup`). The hooks are those of Ray 2.60.
    """

    def _create_default_callbacks(self) -> list[Any]:
        idle = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [every for every in super()._create_default_callbacks() if not isinstance(every, idle)]

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        if isinstance(arguments["scaling_policy"], FixedScalingPolicy):
            arguments["scaling_policy"] = FixedGroup(self.scaling_config)
        return super()._initialize_and_run_controller(**arguments)


def trainer(on_worker: Callable[[], None], job: Job, resources: Resources, restarts: int) -> TorchTrainer:
    """A trainer whose workers each call *on_worker*, and are started again up to *restarts* times."""
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    return _SparingTrainer(
        on_worker,
        torch_config=_meeting(job, resources),
        scaling_config=_scaling(job, resources),
        run_config=RunConfig(
            name=job.key[:16],
            storage_path=str((job.folder / "ray").absolute()),
            failure_config=FailureConfig(max_failures=restarts),
        ),
    )


def _meeting(job: Job, resources: Resources) -> TorchConfig:
    backend = "nccl" if resources.gpus_per_worker else "gloo"
    if is_this_machine(os.environ.get("RAY_ADDRESS", "local")):
        # Any backend will do, whatever its type is called.
        return cast(TorchConfig, MeetOverFile(backend, str(job.folder.absolute() / "meetings")))
    return TorchConfig(backend)


def _scaling(job: Job, resources: Resources) -> ScalingConfig:
    fewest, most = job.recipe.workers_min, resources.workers
    return ScalingConfig(
        num_workers=most if fewest == "workers" or fewest == most else (fewest, most),
        elastic_resize_monitor_interval_s=job.recipe.resize_every_s,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker={"CPU": 1, "GPU": resources.gpus_per_worker},
    )
