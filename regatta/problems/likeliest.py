"""The class that is predicted, per pixel."""

import torch
from torch import Tensor


def likeliest(logits_BKHW: Tensor) -> Tensor:
    """[B H W]: the class with the largest logit; of equal ones the first, as argmax does.

    On a CPU argmax goes from class to class at every pixel, which takes ten times as long as going from
    pixel to pixel of every class. The logits must be numbers, not NaN.
    """
    if logits_BKHW.device.type != "cpu":
        return logits_BKHW.argmax(1)
    # Picture after picture: what one takes stays in the caches, and is taken again for the next.
    return torch.cat([_likeliest(in_planes(logits_1KHW)) for logits_1KHW in logits_BKHW.detach().split(1)])


def _likeliest(logits_BKHW: Tensor) -> Tensor:
    largest_BHW = logits_BKHW[:, 0].clone()
    class_BHW = torch.zeros_like(largest_BHW, dtype=torch.uint8)
    larger_BHW = torch.zeros_like(class_BHW)
    for k, logit_BHW in enumerate(logits_BKHW.unbind(1)):
        torch.gt(logit_BHW, largest_BHW, out=larger_BHW.view(torch.bool))
        torch.maximum(class_BHW, larger_BHW.mul_(k), out=class_BHW)  # k only grows
        torch.maximum(largest_BHW, logit_BHW, out=largest_BHW)
    return class_BHW


def in_planes(logits_BKHW: Tensor) -> Tensor:
    """The same values, contiguous: all pixels of a class side by side."""
    if logits_BKHW.device.type != "cpu" or logits_BKHW.is_contiguous():
        return logits_BKHW.contiguous()
    planes_BKHW = torch.empty_like(logits_BKHW, memory_format=torch.contiguous_format)
    pixels_BPK = logits_BKHW.permute(0, 2, 3, 1).flatten(1, 2)
    for planes_KP, pixels_PK in zip(planes_BKHW.flatten(2), pixels_BPK, strict=True):
        planes_KP.copy_(pixels_PK.t())  # Turning matrices is twice as fast as `contiguous` on an image.
    return planes_BKHW
