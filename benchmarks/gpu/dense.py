"""Steps of deeplabv3plus with a ResNet-50: the engine's, a reference loop's, and the engine's in memory."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.gpu.project import run_stage
from benchmarks.gpu.reference import ReferenceLoop
from benchmarks.measuring import Goal, Sample, in_turn
from regatta.engine.world import World
from regatta.packed.schema import open_packed
from regatta.profiling.limits import machine_of, work_of
from regatta.profiling.rehearsal import Rehearsal, rehearsing
from regatta.settings.course import read_course
from tasks.resolving import Resolved, build, resolve
from tasks.train import input_of, job_of

OURS, REFERENCE, IN_MEMORY, PEAK = "engine", "torchvision's loop", "one batch in memory", "the card's best"
SPEED, MEMORY, FLOPS = "deeplabv3plus, ResNet-50", "peak memory above the weights", "arithmetic, bf16"
GOALS = (
    Goal(SPEED, OURS, REFERENCE, at_least=1.0),
    Goal(SPEED, OURS, IN_MEMORY, at_least=0.95),
    Goal(MEMORY, OURS, REFERENCE),
    Goal(FLOPS, OURS, PEAK),
)


@dataclass(frozen=True)
class Sides:
    """What takes turns."""

    rehearsal: Rehearsal
    reference: ReferenceLoop
    steps: int
    """Of one turn, after a few to warm up."""


def measured(project: Path, pairs: int, steps: int, device: torch.device) -> list[Sample]:
    """Images a second, peak memory and FLOP/s of the sides in turn."""
    run_stage(project, "preprocess@scenes")
    with contextlib.chdir(project):
        resolved = resolve(read_course(), "dense")
        job = job_of(resolved, open_packed(Path("data/packed/scenes")))
        job = job.model_copy(update={"folder": project / "dense"})
        with rehearsing(job, _network(resolved), World(device=device)) as rehearsal:
            reference = ReferenceLoop(_network(resolved), Path("data/raw/scenes/train"), job.recipe, device)
            return compared(Sides(rehearsal, reference, steps), pairs)


def _network(resolved: Resolved) -> nn.Module:
    torch.manual_seed(resolved.recipe.seed)
    schema = open_packed(Path("data/packed/scenes")).schema
    return build(
        resolved.family, input_of(schema), resolved.options, "benchmarks/gpu/params.yaml: runs.dense"
    )


def compared(sides: Sides, pairs: int) -> list[Sample]:
    """Samples of all measures."""
    parts = sides.rehearsal.parts
    device, batch = parts.world.device, parts.recipe.batch_size
    memory: list[Sample] = []

    def side(name: str, train: Callable[[int], object]) -> Callable[[], float]:
        def images_per_s() -> float:
            train(3)
            before_bytes = _begin(device)
            began_s = time.perf_counter()
            train(sides.steps)
            peak_bytes = _peak(device)
            images_per_s = batch * sides.steps / (time.perf_counter() - began_s)
            pair = sum(sample.side == name for sample in memory)
            memory.append(Sample(MEMORY, pair, name, (peak_bytes - before_bytes) / 2**20, "MiB"))
            return images_per_s

        return images_per_s

    ours = sides.rehearsal
    trains: dict[str, Callable[[int], object]] = {
        OURS: lambda steps: ours.train(lambda done, _: done >= steps),
        REFERENCE: sides.reference.train,
        IN_MEMORY: lambda steps: ours.train_in_memory(lambda done, _: done >= steps),
    }
    speeds = in_turn(SPEED, "images/s", {name: side(name, train) for name, train in trains.items()}, pairs)
    return speeds + memory + _arithmetic(sides.rehearsal, speeds)


def _begin(device: torch.device) -> int:
    """Bytes that are taken before; peaks are counted from here."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _peak(device: torch.device) -> int:
    """Most bytes taken since `_begin`, when all is done."""
    if device.type != "cuda":
        return 1  # so that ratios can be made where nothing is counted
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)


def _arithmetic(rehearsal: Rehearsal, speeds: list[Sample]) -> list[Sample]:
    """FLOP/s of the engine's steps, beside what a large product or convolution reaches."""
    parts = rehearsal.parts
    work = work_of(parts, rehearsal.first_batch()[1])
    flops_per_image = (work.forward_flops + work.backward_flops) / parts.recipe.batch_size
    peak = machine_of(parts.world.device, "bf16").flops_per_s
    return [
        Sample(FLOPS, sample.pair, side, value, "FLOP/s")
        for sample in speeds
        if sample.side == OURS
        for side, value in ((OURS, flops_per_image * sample.value), (PEAK, peak))
    ]
