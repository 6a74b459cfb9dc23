"""Running average of the weights (Polyak & Juditsky 1992); what is evaluated when `ema_decay` is on."""

import copy

import torch
from torch import nn


@torch.no_grad()
def fold_in(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average ← decay·average + (1 - decay)·network; buffers (batch statistics, counters) are copied."""
    for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(theirs, 1 - decay)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)


def average_of(network: nn.Module) -> nn.Module:
    """A copy of *network* to fold later weights into."""
    return copy.deepcopy(network).requires_grad_(False)
