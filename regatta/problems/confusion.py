"""Scores per class from a confusion matrix; the definitions both problems share.

A class that is neither in the truth nor predicted has no score and stays out of the means,
as in torchmetrics; a ratio over nothing is 0, as in scikit-learn's `zero_division=0`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regatta.problems.counts import LOSS_UNIT, Counts
from regatta.problems.problem import ClassScores

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """Hits, predictions and supports of K classes, as f64[K]."""

    hits: Floats
    predicted: Floats
    support: Floats

    @property
    def seen(self) -> NDArray[np.bool_]:
        """bool[K]: classes that are in the truth or predicted."""
        return (self.predicted + self.support) > 0

    @property
    def precision(self) -> Floats:
        return ratio(self.hits, self.predicted)

    @property
    def recall(self) -> Floats:
        return ratio(self.hits, self.support)

    @property
    def f1(self) -> Floats:
        """2·hits / (predicted + support): also the Dice coefficient."""
        return ratio(2 * self.hits, self.predicted + self.support)

    @property
    def iou(self) -> Floats:
        """hits / (predicted + support - hits): also the Jaccard index."""
        return ratio(self.hits, self.predicted + self.support - self.hits)

    @property
    def accuracy(self) -> float:
        return float(self.hits.sum() / max(self.support.sum(), 1))

    def mean(self, values_K: Floats) -> float:
        """Mean over the classes that were seen; 0 over none."""
        return float(values_K[self.seen].mean()) if self.seen.any() else 0.0


def class_scores(marginals: Confusion, columns: dict[str, Floats]) -> list[ClassScores]:
    """Each class with its value in every one of *columns* (f64[K] by name) and its support."""
    return [
        ClassScores({name: float(values_K[k]) for name, values_K in columns.items()}, int(support))
        for k, support in enumerate(marginals.support)
    ]


def confusion(counts: Counts) -> Confusion:
    """The marginals of a confusion matrix."""
    matrix_KK = counts.confusion.cpu().numpy().astype(np.float64)
    return Confusion(matrix_KK.diagonal(), matrix_KK.sum(axis=0), matrix_KK.sum(axis=1))


def mean_loss(counts: Counts) -> float:
    """Mean cross-entropy of the samples counted."""
    return int(counts.loss) * LOSS_UNIT / max(int(counts.samples), 1)


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
