"""The convolutions of VGG, stage by stage (Simonyan & Zisserman 2015, arXiv 1409.1556).

torchvision's `make_layers` is one flat list with fixed widths and its poolings inside; the families here
scale the widths, keep the poolings' indices or leave poolings out, so they are given the stages alone.
"""

from typing import Annotated

from pydantic import Field
from torch import nn

CHANNELS = (64, 128, 256, 512, 512)
"""Maps of the five stages; each stage works at half the size of the one before."""
VGG16 = (2, 2, 3, 3, 3)
"""Convolutions per stage, configuration D."""
VGG19 = (2, 2, 4, 4, 4)
"""Convolutions per stage, configuration E."""

Width = Annotated[float, Field(ge=0.0625, le=2)]
"""Factor on the number of channels of every inner layer; 1 is the paper's."""


def scaled(channels: int, width: float) -> int:
    """*channels* times *width*, as a whole number, at least one."""
    return max(1, round(channels * width))


def conv_block(inputs: int, outputs: int, *, batch_norm: bool, slope: float = 0.0) -> nn.Sequential:
    """3x3 convolution that keeps the size, then BatchNorm if asked, then (leaky) ReLU."""
    activation = nn.LeakyReLU(slope) if slope else nn.ReLU()
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *norm, activation)


def vgg_stages(
    channels: int, depths: tuple[int, ...], width: float, *, batch_norm: bool, slope: float = 0.0
) -> list[nn.Sequential]:
    """The five stages without their poolings, for images of *channels*, freshly initialised.

    Stage k maps f32[B c h w] to f32[B scaled(CHANNELS[k]) h w].
    """
    stages: list[nn.Sequential] = []
    inputs = channels
    for depth, full in zip(depths, CHANNELS, strict=True):
        outputs = scaled(full, width)
        sources = [inputs] + [outputs] * (depth - 1)
        blocks = [conv_block(each, outputs, batch_norm=batch_norm, slope=slope) for each in sources]
        stages.append(nn.Sequential(*blocks))
        initialise(stages[-1], slope)
        inputs = outputs
    return stages


def initialise(module: nn.Module, slope: float = 0.0) -> None:
    """He et al. 2015 (arXiv 1502.01852), as torchvision initialises its VGGs; biases start at zero.

    PyTorch's default shrinks the signal at each layer: sixteen layers without BatchNorm would not learn.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=slope, mode="fan_out", nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
