"""A network where it computes, and as it computes best there."""

import torch
from torch import nn

from regatta.engine.convolution import quicken_convolutions
from regatta.engine.linear import quicken_linears


def placed(network: nn.Module, device: torch.device, *, channels_last: bool) -> nn.Module:
    """*network* on *device*: what it learned and its parameters' names stay the same."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(device).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    return quicken_convolutions(quicken_linears(network)) if device.type == "cpu" else network
