"""How many workers, on what, with how many threads each."""

import os
from dataclasses import dataclass

import torch

from regatta.errors import RegattaError
from regatta.settings.recipe import Recipe


@dataclass(frozen=True)
class Resources:
    """What a run is given."""

    workers: int
    gpus_per_worker: int
    threads_per_worker: int


def resources_of(recipe: Recipe, run: str, gpus: int) -> Resources:
    """What *recipe* asks for, where there are *gpus* GPUs.

    Raises:
        RegattaError: more GPUs are asked for than there are.
    """
    per_worker = recipe.gpus_per_worker
    if per_worker == "auto":
        per_worker = 1 if gpus else 0
    workers = recipe.workers
    if workers == "auto":
        workers = max(gpus, 1) if per_worker else 1
    if workers * per_worker > gpus:
        raise RegattaError(
            f"params.yaml: runs.{run}: {workers} workers of {per_worker} GPU each are asked for, but there "
            f"are {gpus} GPUs; set workers or gpus_per_worker (0 trains on the CPU)"
        )
    threads = recipe.threads_per_worker
    if threads == "auto":
        threads = max((os.cpu_count() or 1) // workers, 1)
    return Resources(workers, per_worker, threads)


def device_of(resources: Resources, local_rank: int) -> torch.device:
    """The device of the worker that is *local_rank*-th on its machine."""
    return torch.device("cuda", local_rank) if resources.gpus_per_worker else torch.device("cpu")
