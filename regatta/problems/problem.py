"""What the engine and the evaluation ask of a vision problem."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from regatta.problems.batch import Batch
from regatta.problems.counts import Counts
from regatta.settings.card import ProblemName
from regatta.settings.recipe import Recipe

NO_IGNORE = 255
"""Label that marks what is not scored where a data set names none. Class indices stay below it."""


@dataclass(frozen=True)
class Targets:
    """What the labels of a data set mean to a loss."""

    classes: int
    ignore_label: int
    class_weights: Tensor | None
    """f32[K], mean 1 over the training split, or None."""


@dataclass(frozen=True)
class ClassScores:
    """One class's share of the scores."""

    scores: dict[str, float]
    support: int
    """Samples or pixels that are of this class."""


@dataclass(frozen=True)
class Problem:
    """A vision problem: how its outputs are learnt from, counted and scored."""

    name: ProblemName
    primary: str
    """The score that ranks runs; higher is better."""
    loss: Callable[[Tensor, Batch, Targets, Recipe], Tensor]
    """(logits, batch, targets, recipe) → f32[B], one loss per sample."""
    count: Callable[[Tensor, Batch, Targets], Counts]
    """(logits, batch, targets) → counts over the valid samples."""
    sample_scores: Callable[[Tensor, Batch, Targets], Tensor]
    """(logits, batch, targets) → f32[B] in [0, 1]: how well each sample was done."""
    scores: Callable[[Counts], dict[str, float]]
    per_class: Callable[[Counts], list[ClassScores]]
