"""VGG-16's convolutions with LeakyReLU, a global average pool and one linear layer: made for CAM.

Zhou et al. put a 3x3 convolution of 1024 maps before the average, which is left out here.
"""

from typing import Annotated

from pydantic import Field
from torch import nn

from models.family import Family, InputSpec, Options
from models.parts.pooled import PooledClassifier
from models.parts.vgg import CHANNELS, VGG16, Width, scaled, vgg_stages

SLOPE = 0.2
"""Of LeakyReLU below zero."""


class Vgg16GapOptions(Options):
    """Options of vgg16_gap."""

    width: Width = 1.0
    """Factor on every layer's channels; at 1 the convolutions have 14.7 million weights."""
    map_px: Annotated[int, Field(ge=1, le=14)] = 4
    """A pooling that would leave the map smaller than this on a side is left out, so that small images
    keep a map worth looking at: 8 px are halved once, 28 px twice, 224 px four times (to 14, as in the
    paper, which drops the fifth pooling)."""


def build(spec: InputSpec, options: Vgg16GapOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K], with `class_activation`; any size."""
    stages = vgg_stages(spec.channels, VGG16, options.width, batch_norm=False, slope=SLOPE)
    layers: list[nn.Module] = [stages[0]]
    side_px = min(spec.height_px, spec.width_px)
    for stage in stages[1:]:
        if side_px // 2 >= options.map_px:
            layers.append(nn.MaxPool2d(2))
            side_px //= 2
        layers.append(stage)
    return PooledClassifier(nn.Sequential(*layers), scaled(CHANNELS[-1], options.width), spec.classes)


FAMILY = Family(
    name="vgg16_gap",
    problem="classification",
    paper="Zhou, Khosla, Lapedriza, Oliva, Torralba 2016, Learning Deep Features for Discriminative "
    "Localization, arXiv 1512.04150",
    build=build,
    options=Vgg16GapOptions,
    # Thirteen layers without BatchNorm: SGD crawls or diverges, Adam with clipped gradients does not.
    recipe={"optimiser": "adam", "lr": 1e-3, "schedule": "cosine", "clip_norm": 1.0, "batch_size": 64},
)
