"""What is counted while evaluating. Integers only, so that sums over any cut of the data are exact."""

from dataclasses import dataclass

import torch
from torch import Tensor

LOSS_UNIT = 2.0**-20
"""Losses are added up as integer multiples of this, for float sums depend on their order."""


@dataclass(frozen=True)
class Counts:
    """Counts over some samples. Counts of parts add up to the counts of the whole, in any order."""

    confusion: Tensor
    """i64[K K]: rows are actual classes, columns predicted ones; samples or pixels."""
    top5: Tensor
    """i64[]: samples whose class is among the five most likely; 0 for segmentation."""
    loss: Tensor
    """i64[]: sum of the samples' cross-entropies, in LOSS_UNIT."""
    samples: Tensor
    """i64[]"""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.confusion + other.confusion,
            self.top5 + other.top5,
            self.loss + other.loss,
            self.samples + other.samples,
        )

    def flat(self) -> Tensor:
        """i64[K*K + 3]: one vector, so that workers need one all-reduce."""
        return torch.cat([self.confusion.flatten(), torch.stack([self.top5, self.loss, self.samples])])


def no_counts(classes: int, device: torch.device) -> Counts:
    """Counts over nothing."""
    return from_flat(torch.zeros(classes * classes + 3, dtype=torch.int64, device=device), classes)


def from_flat(flat: Tensor, classes: int) -> Counts:
    """The inverse of `Counts.flat`."""
    confusion, (top5, loss, samples) = flat[:-3].view(classes, classes), flat[-3:]
    return Counts(confusion, top5, loss, samples)


def confusion_of(actual: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """i64[K K] from two index tensors of one shape; positions whose actual is >= classes are left out.

    One bincount: those left out fall into rows behind the matrix.
    """
    actual, predicted = (indices.flatten().to(torch.int32) for indices in (actual, predicted))
    pairs = torch.add(predicted, actual, alpha=classes)
    return torch.bincount(pairs, minlength=classes**2)[: classes**2].view(classes, classes)


def fixed_point(losses_B: Tensor) -> Tensor:
    """i64[]: sum of f32[B] losses in LOSS_UNIT; each is rounded by itself, so the sum has no order."""
    return (losses_B.double() / LOSS_UNIT).round().to(torch.int64).sum()
