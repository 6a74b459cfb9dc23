"""A Ray to work on: the one at `RAY_ADDRESS`, else one of our own that ends with the block."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regatta.cluster.resources import Resources
from regatta.errors import RegattaError
from regatta.garbage import collect_rarely
from regatta.local_ray import local_ray_environment
from regatta.settings.recipe import Recipe

RAY_TRAIN = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # What workers print and log goes where `lines` can follow it, and not into files of Ray's own.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    # A lost worker is noticed sooner than after Ray's 2 s.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # An actor that looks for announced losses of nodes. Here a loss is survived when it comes.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


@contextmanager
def connected_ray(recipe: Recipe, resources: Resources | None) -> Generator[Any, None, None]:
    """Ray, connected to; ended again unless it was connected before. *resources*: what it must have room for.

    Raises:
        RegattaError: no Ray answers at `RAY_ADDRESS`.
    """
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        os.environ.update(local_ray_environment())
    os.environ.update(RAY_TRAIN)  # Ray reads it when it is imported.
    import ray

    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(
            address=address,
            num_cpus=_cpus(resources) if address == "local" else None,
            include_dashboard=False if address == "local" else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"env_vars": _environment(recipe), "worker_process_setup_hook": collect_rarely},
        )
    except ConnectionError:
        raise RegattaError(
            f"RAY_ADDRESS={address}: no Ray answers there; start one (make services), or unset RAY_ADDRESS"
        ) from None
    except RuntimeError as fault:  # one of another version of Ray or Python
        if address == "local":
            raise
        raise RegattaError(f"RAY_ADDRESS={address}: {' '.join(str(fault).split())}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _cpus(resources: Resources | None) -> int:
    """This machine's cores; more where more workers are asked for, who then share them."""
    return max(os.cpu_count() or 1, resources.workers if resources else 1)


def _environment(recipe: Recipe) -> dict[str, str]:
    """Environment of the workers."""
    path = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    threads = recipe.threads_per_worker
    return environment | ({} if threads == "auto" else {"OMP_NUM_THREADS": str(threads)})
