"""Multilayer perceptron: two hidden layers of 512, as in the PyTorch quickstart."""

from typing import Annotated

from pydantic import Field
from torch import nn

from models.family import Family, InputSpec, Options


class MlpOptions(Options):
    """Options of mlp."""

    width: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Units of each hidden layer."""


def build(spec: InputSpec, options: MlpOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K]; any size."""
    pixels = spec.channels * spec.height_px * spec.width_px
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, options.width),
        nn.ReLU(),
        nn.Linear(options.width, options.width),
        nn.ReLU(),
        nn.Linear(options.width, spec.classes),
    )


FAMILY = Family(
    name="mlp",
    problem="classification",
    paper="Rumelhart, Hinton, Williams 1986, Learning representations by back-propagating errors, "
    "doi 10.1038/323533a0; layers of pytorch.org/tutorials/beginner/basics/quickstart_tutorial.html",
    build=build,
    options=MlpOptions,
    # The quickstart's rate of 0.001 without momentum has not converged after its ten epochs.
    recipe={"optimiser": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "cosine", "batch_size": 64},
)
