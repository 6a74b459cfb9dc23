"""What is counted while evaluating. Integers only, so that sums over any cut of the data are exact."""

from dataclasses import dataclass

import torch
from torch import Tensor

LOSS_UNIT = 2.0**-20
"""Losses are added up as integer multiples of this, for float sums depend on their order."""
LOSS_UNITS_MAX = 2.0**44
"""A loss of 1.7e7: one that is greater counts as this, so that sums stay within 64 bits."""


@dataclass(frozen=True)
class Counts:
    """Counts over some samples. Counts of parts add up to the counts of the whole, in any order."""

    confusion: Tensor
    """i64[K K]: rows are actual classes, columns predicted ones; samples or pixels."""
    top5: Tensor
    """i64[]: samples whose class is among the five most likely; 0 for segmentation."""
    loss: Tensor
    """i64[]: sum of the samples' cross-entropies that are finite, in LOSS_UNIT."""
    samples: Tensor
    """i64[]"""
    not_finite: Tensor
    """i64[]: samples whose cross-entropy is not."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.confusion + other.confusion,
            self.top5 + other.top5,
            self.loss + other.loss,
            self.samples + other.samples,
            self.not_finite + other.not_finite,
        )

    def flat(self) -> Tensor:
        """i64[K*K + 4]: one vector, so that workers need one all-reduce."""
        numbers = torch.stack([self.top5, self.loss, self.samples, self.not_finite])
        return torch.cat([self.confusion.flatten(), numbers])


def no_counts(classes: int, device: torch.device) -> Counts:
    """Counts over nothing."""
    return from_flat(torch.zeros(classes * classes + 4, dtype=torch.int64, device=device), classes)


def from_flat(flat: Tensor, classes: int) -> Counts:
    """The inverse of `Counts.flat`."""
    confusion, rest = flat[:-4].view(classes, classes), flat[-4:]
    return Counts(confusion, *rest)


def confusion_of(actual: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """i64[K K] from two index tensors of one shape; positions whose actual is >= classes are left out.

    One bincount: those left out fall into rows behind the matrix.
    """
    actual, predicted = (indices.flatten().to(torch.int32) for indices in (actual, predicted))
    pairs = torch.add(predicted, actual, alpha=classes)
    return torch.bincount(pairs, minlength=classes**2)[: classes**2].view(classes, classes)


def fixed_point(losses_B: Tensor) -> tuple[Tensor, Tensor]:
    """i64[]: sum of the finite f32[B] losses in LOSS_UNIT; i64[]: how many are not finite.

    Each is rounded by itself, so the sum has no order.
    """
    is_finite_B = losses_B.isfinite()
    units_B = (losses_B.double() / LOSS_UNIT).clamp_max(LOSS_UNITS_MAX).masked_fill(~is_finite_B, 0)
    return units_B.round().to(torch.int64).sum(), (~is_finite_B).sum()
