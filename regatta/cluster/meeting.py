"""How the workers of one machine meet: over a file, and then on its loopback address.

torch's own meeting place (TCPStore) listens on every interface of the machine and asks nobody who they
are, so it is left to clusters, whose network is their own.

torch is imported where workers meet, for Ray Train's controller reads this file too and does without.
"""

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.train.backend import Backend, BackendConfig

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def is_this_machine(address: str) -> bool:
    """Whether a Ray at *address* is one of this machine alone."""
    return address == "local" or address.startswith("127.0.0.1:")


@dataclass
class MeetOverFile(BackendConfig):
    """Torch's process group for workers that see the same folder."""

    backend: str
    folder: str
    timeout_s: int = 1800

    @property
    def backend_cls(self) -> type[Backend]:
        return _OverFile


class _OverFile(Backend):
    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        folder = Path(backend_config.folder)
        folder.mkdir(parents=True, exist_ok=True)
        meeting, size = folder / uuid4().hex, len(worker_group)  # A file of its own for each attempt.
        how = (backend_config.backend, f"file://{meeting}", size, backend_config.timeout_s)
        ray.get([worker_group.execute_single_async(rank, _join, rank, *how) for rank in range(size)])
        meeting.unlink(missing_ok=True)


def _join(rank: int, backend: str, meeting: str, size: int, timeout_s: int) -> None:
    from torch import distributed

    os.environ |= {"GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_SOCKET_IFNAME": LOOPBACK}
    distributed.init_process_group(backend, meeting, timedelta(seconds=timeout_s), size, rank)
