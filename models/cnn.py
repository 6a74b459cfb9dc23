"""Three strided convolutions and an average: the network of PyTorch's "What is torch.nn really?"."""

from typing import Annotated

from pydantic import Field
from torch import nn

from models.family import Family, InputSpec, Options


class CnnOptions(Options):
    """Options of cnn."""

    width: Annotated[int, Field(ge=1, le=4096)] = 16
    """Maps of the first two convolutions."""
    last_relu: bool = True
    """ReLU after the last convolution too, as in the tutorial. Below 16 px a class has few cells to
    average: once they are all negative it learns nothing more, so set this to false there."""


def build(spec: InputSpec, options: CnnOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K]; any size, since the average takes in whatever map is left.

    The logits are averages of maps, one for each class.
    """
    return nn.Sequential(
        nn.Conv2d(spec.channels, options.width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(options.width, options.width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(options.width, spec.classes, 3, stride=2, padding=1),
        nn.ReLU() if options.last_relu else nn.Identity(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


FAMILY = Family(
    name="cnn",
    problem="classification",
    paper="Howard, Thomas, Ingham 2018, What is torch.nn really?, pytorch.org/tutorials/beginner/nn_tutorial",
    build=build,
    options=CnnOptions,
    recipe={"optimiser": "sgd", "lr": 0.1, "momentum": 0.9, "schedule": "cosine", "batch_size": 64},
)
