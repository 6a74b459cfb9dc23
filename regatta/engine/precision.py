"""From packed bytes to the numbers and the number format that the network computes with."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from regatta.settings.recipe import Augment


def resolved(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    """What *auto* means on *device*."""
    if precision == "auto":
        is_fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if is_fast else "fp32"
    return precision


def autocast(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> AbstractContextManager[Any]:
    """The context in which forward and loss are computed."""
    if resolved(precision, device) == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@dataclass(frozen=True)
class Normaliser:
    """(image / 255 - mean) / std per channel, in one multiply and one add."""

    scale: Tensor
    """f32[C 1 1]"""
    shift: Tensor
    """f32[C 1 1]"""
    channels_last: bool

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """f32[B C H W] from u8 or f32 images in [0, 255]."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        values_BCHW = images_BCHW.to(torch.float32, memory_format=layout, copy=True)
        return values_BCHW.mul_(self.scale).add_(self.shift)


def normaliser(
    mean: tuple[float, ...], std: tuple[float, ...], channels_last: bool, device: torch.device
) -> Normaliser:
    """A normaliser for channels of this mean and standard deviation, both in [0, 1]."""
    mean_C11 = torch.tensor(mean, device=device).view(-1, 1, 1)
    std_C11 = torch.tensor(std, device=device).view(-1, 1, 1).clamp_min(1e-6)
    return Normaliser(1 / (255 * std_C11), -mean_C11 / std_C11, channels_last)


def augments(augment: Augment) -> bool:
    """Whether anything is drawn for a sample at all."""
    return augment.flip or augment.shift_px > 0 or augment.scale > 0 or augment.colour > 0
