"""The workers that train together, as one of them sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """One worker's place. With size > 1 torch's process group is up."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    beat: Callable[[], None] = lambda: None
    """To be called whenever the worker got further; whoever watches it takes long silence for a hang."""

    @property
    def leads(self) -> bool:
        """Whether this worker writes what is written once."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum of *values* over all workers, on each of them."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def agrees(self, number: int) -> bool:
        """Whether all workers came with the same *number*."""
        return self.total(torch.tensor(number, device=self.device)).item() == number * self.size

    def parallel(self, network: nn.Module) -> nn.Module:
        """*network* with gradients averaged over the workers in backward."""
        if self.size == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, gradient_as_bucket_view=True)

    def agree_on_buffers(self, network: nn.Module) -> None:
        """Take the leading worker's buffers, which are the ones that are kept.

        Each worker has the batch statistics of its own shares since the step's forward.
        """
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)
