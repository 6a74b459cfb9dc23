"""Page faults of a steady training step, before and after freed memory is kept: prints both counts.

    python -m tests.counting.faults PACKED FOLDER

A process of its own, because how memory is asked for is set for a whole process, and for good.
"""

import resource
import statistics
import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from regatta.allocation import keep_freed_memory
from regatta.engine.training import train
from regatta.engine.uncompiled import leave_compiler_out
from regatta.engine.world import World
from regatta.packed.schema import Packed, open_packed
from regatta.settings.recipe import Recipe
from tests.test_training import job_of, quiet

WIDTH = 64
"""Channels: maps of 128 pictures then take 6 MB, which a step asks for and frees several times."""


def main(packed: str, folder: str) -> None:
    """Print the faults of a step as glibc has it, and then as training has it."""
    torch.set_num_threads(1)
    leave_compiler_out()
    given = faults_of_a_step(open_packed(Path(packed)), Path(folder) / "given")
    keep_freed_memory()
    print(given, faults_of_a_step(open_packed(Path(packed)), Path(folder) / "kept"))


def faults_of_a_step(packed: Packed, folder: Path) -> float:
    """Median of minor page faults over the later steps."""
    faults: list[int] = []
    world = World(beat=lambda: faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt))
    body = [nn.Conv2d(3, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU()]
    network = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 3))
    train(job_of(packed, folder, Recipe(epochs=3, batch_size=128, lr=0.01)), network, world, quiet)
    each = [after - before for before, after in pairwise(faults)]
    return statistics.median(each[len(each) // 2 :])


if __name__ == "__main__":
    main(*sys.argv[1:])
