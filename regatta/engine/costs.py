"""What a network costs to use: operations and memory (counted), latency and throughput (measured)."""

import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regatta.engine.linear import flop_formulas
from regatta.engine.live_memory import peak_bytes
from regatta.engine.uncompiled import without_triton

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

WARM_UP_CALLS, WARM_UP_S = 5, 0.1
LATENCY_CALLS = 60
THROUGHPUT_CALLS = 8
BUDGET_S = 0.4
"""A slow network is measured and warmed up by fewer calls: what is to be set up, the first one sets up."""


@dataclass(frozen=True)
class Costs:
    """Times are measured on this machine, with this process's threads."""

    latency_p50_ms: float
    """One image at a time."""
    latency_p95_ms: float
    throughput_per_s: float
    """Images a second in batches."""
    peak_memory_mb: float
    """Most that weights, images and what is computed of a batch take at once."""

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@torch.inference_mode()
def counted_flops(network: nn.Module, image_1CHW: Tensor) -> int:
    """Floating-point operations of *network* (in eval mode) on one image; a multiply-add counts as two."""
    with flop_counter() as counter:
        network(image_1CHW)
    return counter.get_total_flops()


def flop_counter() -> "FlopCounterMode":
    """A context that counts the operations of what is computed in it."""
    with without_triton():
        from torch.utils.flop_counter import FlopCounterMode

    return FlopCounterMode(display=False, custom_mapping=flop_formulas())


@torch.inference_mode()
def measure(network: nn.Module, images_BCHW: Tensor) -> Costs:
    """Costs of *network* (in eval mode) on f32 images like *images_BCHW*."""
    _timed_s(network, images_BCHW[:1], 1, WARM_UP_CALLS, WARM_UP_S)
    latencies_s = _timed_s(network, images_BCHW[:1], 3, LATENCY_CALLS, BUDGET_S)
    # What a first call sets up for the batch's shape does not move the median of three.
    batch_s = statistics.median(_timed_s(network, images_BCHW, 3, THROUGHPUT_CALLS, BUDGET_S))
    return Costs(
        latency_p50_ms=1000 * statistics.median(latencies_s),
        latency_p95_ms=1000 * sorted(latencies_s)[int(0.95 * (len(latencies_s) - 1))],
        throughput_per_s=len(images_BCHW) / batch_s,
        peak_memory_mb=peak_bytes(network, images_BCHW) / 2**20,
    )


def _timed_s(network: nn.Module, images_BCHW: Tensor, least: int, most: int, budget_s: float) -> list[float]:
    times_s: list[float] = []
    while len(times_s) < least or (len(times_s) < most and sum(times_s) < budget_s):
        start = time.perf_counter()
        network(images_BCHW)
        if images_BCHW.device.type == "cuda":
            torch.cuda.synchronize()
        times_s.append(time.perf_counter() - start)
    return times_s
