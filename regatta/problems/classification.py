"""One class per image."""

from torch import Tensor
from torch.nn import functional

from regatta.problems.batch import Batch
from regatta.problems.confusion import class_scores, confusion, mean_loss
from regatta.problems.counts import Counts, confusion_of, fixed_point
from regatta.problems.problem import ClassScores, Problem, Targets
from regatta.settings.recipe import Recipe


def loss(logits_BK: Tensor, batch: Batch, targets: Targets, recipe: Recipe) -> Tensor:
    """f32[B]: cross-entropy, with label smoothing and class weights as the recipe says."""
    return functional.cross_entropy(
        logits_BK.float(),
        batch.targets,
        weight=targets.class_weights,
        label_smoothing=recipe.label_smoothing,
        reduction="none",
    )


def count(logits_BK: Tensor, batch: Batch, targets: Targets) -> Counts:
    """Counts of the valid samples; the loss is the plain cross-entropy, whatever was trained with."""
    logits_BK = logits_BK.float()
    losses_B = functional.cross_entropy(logits_BK, batch.targets, reduction="none")
    best_B5 = logits_BK.topk(min(5, targets.classes)).indices
    actual_B = batch.targets.masked_fill(~batch.valid, targets.classes)  # out of range: not counted
    loss, not_finite = fixed_point(losses_B.masked_fill(~batch.valid, 0))
    return Counts(
        confusion=confusion_of(actual_B, logits_BK.argmax(1), targets.classes),
        top5=(best_B5 == actual_B[:, None]).sum(),
        loss=loss,
        samples=batch.valid.sum(),
        not_finite=not_finite,
    )


def sample_scores(logits_BK: Tensor, batch: Batch, targets: Targets) -> Tensor:
    """f32[B]: the probability given to the true class."""
    return logits_BK.float().softmax(1).gather(1, batch.targets[:, None])[:, 0]


def scores(counts: Counts) -> dict[str, float]:
    """Top-1, top-5 and macro averages, each in [0, 1], and the mean loss."""
    marginals = confusion(counts)
    return {
        "top1": marginals.accuracy,
        "top5": int(counts.top5) / max(int(counts.samples), 1),
        "macro_precision": marginals.mean(marginals.precision),
        "macro_recall": marginals.mean(marginals.recall),
        "macro_f1": marginals.mean(marginals.f1),
        "loss": mean_loss(counts),
    }


def per_class(counts: Counts) -> list[ClassScores]:
    """Precision, recall and F1 of each class."""
    marginals = confusion(counts)
    columns = {"precision": marginals.precision, "recall": marginals.recall, "f1": marginals.f1}
    return class_scores(marginals, columns)


CLASSIFICATION = Problem("classification", "top1", loss, count, sample_scores, scores, per_class)
