"""Several workers of one process group on this machine, without Ray: what the engine does together."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from regatta.engine.world import World


def together(size: int, folder: Path, work: Callable[..., None], *arguments: Any) -> None:
    """Call `work(world, *arguments)` in *size* processes; they meet over a file in *folder*."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "tests.test_any_number_of_workers"])
    meeting = folder / f"meeting-{len(list(folder.iterdir()))}"
    workers = [
        context.Process(target=_join, args=(rank, size, meeting, work, arguments)) for rank in range(size)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0] * size


def _join(rank: int, size: int, meeting: Path, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    if size > 1:
        distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    work(World(rank, size), *arguments)
    if size > 1:
        distributed.destroy_process_group()
