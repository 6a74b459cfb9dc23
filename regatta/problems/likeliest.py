"""The class that is predicted, per pixel."""

import torch
from torch import Tensor

PIXELS_AT_ONCE = 2**16
"""Few enough for what they take to stay in the caches, enough for two threads to share."""


def likeliest(logits_BKHW: Tensor) -> Tensor:
    """[B H W]: the class with the largest logit; of equal ones the first, as argmax does.

    On a CPU argmax goes from class to class at every pixel, which takes ten times as long as going from
    pixel to pixel of every class. The logits must be numbers, not NaN.
    """
    if logits_BKHW.device.type != "cpu":
        return logits_BKHW.argmax(1)
    rows = max(PIXELS_AT_ONCE // logits_BKHW.shape[3], 1)
    pictures = logits_BKHW.detach().split(1)
    return torch.cat([torch.cat([_likeliest(part) for part in one.split(rows, 2)], 1) for one in pictures])


def _likeliest(logits_BKHW: Tensor) -> Tensor:
    planes_BKHW = logits_BKHW.contiguous()
    largest_BHW = planes_BKHW[:, 0].clone()
    class_BHW = torch.zeros_like(largest_BHW, dtype=torch.uint8)
    larger_BHW = torch.zeros_like(class_BHW)
    for k, logit_BHW in enumerate(planes_BKHW.unbind(1)):
        torch.gt(logit_BHW, largest_BHW, out=larger_BHW.view(torch.bool))
        torch.maximum(class_BHW, larger_BHW.mul_(k), out=class_BHW)  # k only grows
        torch.maximum(largest_BHW, logit_BHW, out=largest_BHW)
    return class_BHW
