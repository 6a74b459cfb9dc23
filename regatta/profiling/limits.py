"""What a step cannot be faster than on this machine: its arithmetic and its bytes, at measured peaks.

The roofline of Williams, Waterman and Patterson (2009), drawn for each part of a step. Peaks are measured
with as many threads as the run has, so that the limit is the run's, not the machine's.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from regatta.engine.costs import flop_counter
from regatta.engine.parts import Parts
from regatta.engine.precision import autocast, resolved
from regatta.problems.batch import Batch
from regatta.profiling.timeline import Times

PEAK_S = 0.2
"""Each peak is looked for so long."""


@dataclass(frozen=True)
class Machine:
    """Measured peaks of a device."""

    flops_per_s: float
    """Of a large matrix product or convolution in the run's precision."""
    bf16_gain: float
    """How much faster the same is in bf16 than in fp32."""
    bytes_per_s: float
    """Read and written, of a large copy."""


@dataclass(frozen=True)
class Work:
    """What one micro-batch's step has to compute and to move."""

    forward_flops: int
    backward_flops: int
    packed_bytes: int
    """The batch as it lies in memory."""
    input_bytes: int
    """Its images as the network takes them."""
    logits_bytes: int
    update_bytes: int
    """Weights, gradients and the optimiser's state, read and written once."""


def machine_of(device: torch.device, precision: str) -> Machine:
    """Measure *device* for about a second."""
    fp32, bf16 = (_flops_per_s(kind, device) for kind in (torch.float32, torch.bfloat16))
    source = torch.zeros(2 ** (30 if device.type == "cuda" else 27), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = _seconds(lambda: target.copy_(source), device)
    return Machine(bf16 if precision == "bf16" else fp32, bf16 / fp32, 2 * source.numel() / copy_s)


@torch.inference_mode()
def _flops_per_s(kind: torch.dtype, device: torch.device) -> float:
    """The better of a matrix product and a convolution: their libraries differ, by twice on some CPUs."""
    side, batch, channels, side_px = (8192, 64, 256, 56) if device.type == "cuda" else (1024, 8, 128, 28)
    square = torch.ones(side, side, dtype=kind, device=device)
    product = 2 * side**3 / _seconds(lambda: torch.mm(square, square), device)
    maps = torch.ones(batch, channels, side_px, side_px, dtype=kind, device=device)
    kernels = torch.ones(channels, channels, 3, 3, dtype=kind, device=device)
    maps, kernels = (x.to(memory_format=torch.channels_last) for x in (maps, kernels))
    convolution_flops = 2 * maps.numel() * kernels[0].numel()
    convolution = convolution_flops / _seconds(lambda: F.conv2d(maps, kernels, padding=1), device)
    return max(product, convolution)


def best(machines: Sequence[Machine]) -> Machine:
    """The peaks of all of *machines*: a limit is what was reached at least once."""
    return Machine(*(max(values) for values in zip(*map(astuple, machines), strict=True)))


def _seconds(act: Callable[[], Tensor], device: torch.device) -> float:
    """Shortest time of *act*."""
    times_s: list[float] = []
    while len(times_s) < 5 or sum(times_s) < PEAK_S:
        began_s = time.perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times_s.append(time.perf_counter() - began_s)
    return min(times_s)


def work_of(parts: Parts, batch: Batch) -> Work:
    """Counted on one step's forward and backward; gradients are left behind."""
    images_BCHW = parts.examiner.normalise(batch.images)
    with flop_counter() as forward, autocast(parts.recipe.precision, parts.world.device):
        logits = parts.network(images_BCHW)
    with flop_counter() as backward:
        logits.float().sum().backward()
    return Work(
        forward_flops=forward.get_total_flops(),
        backward_flops=backward.get_total_flops(),
        packed_bytes=batch.images.nbytes + batch.targets.nbytes,
        input_bytes=images_BCHW.nbytes,
        logits_bytes=logits.nbytes,
        update_bytes=_update_bytes(parts.network, parts.optimiser, averaged=parts.average is not None),
    )


def _update_bytes(network: nn.Module, optimiser: Optimizer, *, averaged: bool) -> int:
    """Weights and state are read and written, gradients read; a running average is read and written too."""
    weights = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    states = sum(value.nbytes for state in optimiser.state.values() for value in state.values())
    return (3 + 3 * averaged) * weights + 2 * states


def limits_of(work: Work, machine: Machine, micro_batches: int) -> Times:
    """Seconds of each part of a step of *micro_batches* that no way of doing the same goes below."""
    rate = machine.bytes_per_s
    of_micro_batch: Times = {
        "wait for data": 2 * work.packed_bytes / rate,
        "augment, normalise": (work.packed_bytes + work.input_bytes) / rate,
        "forward": max(work.forward_flops / machine.flops_per_s, work.input_bytes / rate),
        "loss": work.logits_bytes / rate,
        "backward": max(work.backward_flops / machine.flops_per_s, work.logits_bytes / rate),
    }
    limits: Times = {part: micro_batches * seconds for part, seconds in of_micro_batch.items()}
    return {"between steps": 0.0, **limits, "update": work.update_bytes / rate}


def precision_of(parts: Parts) -> str:
    """The number format of the network's products."""
    return resolved(parts.recipe.precision, parts.world.device)
