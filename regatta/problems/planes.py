"""Pictures that lie channels last, turned into planes as fast as memory is copied.

torch turns them number by number, which takes four to nine times as long. What it does turn in vectors is
channels that are shuffled (Zhang et al. 2017, arXiv 1707.01083, figure 1): a matrix whose rows are groups of
channels is transposed. Here each pixel is a group.
"""

import torch
from torch import Tensor


def in_planes(values_BCHW: Tensor) -> Tensor:
    """The same values, each channel of a picture by itself in memory; derivable as often as one likes."""
    if not lies_channels_last(values_BCHW):
        return values_BCHW.contiguous()
    batch, channels, height, width = values_BCHW.shape
    pixels = height * width
    mixed_BN11 = values_BCHW.permute(0, 2, 3, 1).reshape(batch, 1, 1, pixels * channels).permute(0, 3, 1, 2)
    sorted_BN11 = torch.channel_shuffle(mixed_BN11, pixels)
    return sorted_BN11.permute(0, 2, 3, 1).view(batch, channels, height, width)


def lies_channels_last(values_BCHW: Tensor) -> bool:
    """Whether this is on the CPU, with the channels of each pixel side by side."""
    lies_so = values_BCHW.is_contiguous(memory_format=torch.channels_last) and not values_BCHW.is_contiguous()
    return lies_so and values_BCHW.device.type == "cpu" and values_BCHW.is_floating_point()
