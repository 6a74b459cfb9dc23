"""What every model family declares about itself, and what it is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class SizeError(ValueError):
    """A size that the family's arithmetic does not allow. The message names the nearest good size."""


@dataclass(frozen=True)
class InputSpec:
    """What a family's network is fed and asked for."""

    channels: int
    height_px: int
    width_px: int
    classes: int


class Options(BaseModel):
    """Options of a family; each family derives its own, with ranges. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@runtime_checkable
class ClassActivation(Protocol):
    """Families with a global average pool and one linear layer (Zhou et al. 2016, arXiv 1512.04150)."""

    def class_activation(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits f32[B K] and class activation maps f32[B K h w], unnormalised."""
        ...


@dataclass(frozen=True)
class Family:
    """A model family. The file's name is the family's name, for DVC reads the file as a run's source.

    build takes (InputSpec, the family's options) and gives a network whose forward maps
    normalised images f32[B C H W] to logits: f32[B K] for classification,
    f32[B K H W] for segmentation. It raises SizeError where the size does not fit.
    """

    name: str
    problem: Literal["classification", "segmentation"]
    paper: str
    """Authors, year, title, and where to find it."""
    build: Callable[[InputSpec, Any], nn.Module]
    options: type[BaseModel] = Options
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings of training that the family's file recommends; keys of regatta's Recipe."""
