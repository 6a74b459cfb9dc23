"""One class per pixel."""

import torch
from torch import Tensor
from torch.nn import functional

from regatta.problems.batch import Batch
from regatta.problems.confusion import class_scores, confusion, mean_loss, ratio
from regatta.problems.counts import Counts, confusion_of, fixed_point
from regatta.problems.likeliest import likeliest
from regatta.problems.planes import in_planes
from regatta.problems.problem import ClassScores, Problem, Targets
from regatta.settings.recipe import Recipe


def loss(logits_BKHW: Tensor, batch: Batch, targets: Targets, recipe: Recipe) -> Tensor:
    """f32[B]: the recipe's sum of cross-entropy, Dice and focal loss; each a mean over scored pixels."""
    logits_BKHW = in_planes(logits_BKHW.float())
    truth_BHW = batch.targets.long()
    scored_BHW = truth_BHW != targets.ignore_label
    weights, total_B = recipe.loss, torch.zeros(len(truth_BHW), device=logits_BKHW.device)
    if weights.ce:
        total_B = total_B + weights.ce * _cross_entropy(logits_BKHW, truth_BHW, targets, recipe)
    if weights.focal:
        total_B = total_B + weights.focal * _focal(logits_BKHW, truth_BHW, targets, weights.focal_gamma)
    if weights.dice:
        total_B = total_B + weights.dice * _dice(logits_BKHW, truth_BHW, scored_BHW, targets.classes)
    return total_B


def _cross_entropy(logits_BKHW: Tensor, truth_BHW: Tensor, targets: Targets, recipe: Recipe) -> Tensor:
    losses_BHW = functional.cross_entropy(
        logits_BKHW,
        truth_BHW,
        weight=targets.class_weights,
        ignore_index=targets.ignore_label,
        label_smoothing=recipe.label_smoothing,
        reduction="none",
    )
    return _mean_scored(losses_BHW, truth_BHW, targets)


def _focal(logits_BKHW: Tensor, truth_BHW: Tensor, targets: Targets, gamma: float) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv 1708.02002, eq. 4): easy pixels count less."""
    losses_BHW = functional.cross_entropy(
        logits_BKHW, truth_BHW, ignore_index=targets.ignore_label, reduction="none"
    )
    # Of 0 a power below one has no slope.
    unlikely_BHW = (-torch.expm1(-losses_BHW)).clamp_min(1e-6)
    return _mean_scored(unlikely_BHW**gamma * losses_BHW, truth_BHW, targets)


def _dice(logits_BKHW: Tensor, truth_BHW: Tensor, scored_BHW: Tensor, classes: int) -> Tensor:
    """1 - soft Dice, mean over the classes in each image.

    As in Milletari et al. 2016 (arXiv 1606.04797), but for the denominator, whose sums are not of squares.
    """
    inside_B1HW = scored_BHW[:, None].float()
    likely_BKHW = logits_BKHW.softmax(1) * inside_B1HW
    truth_BHW = truth_BHW.masked_fill(~scored_BHW, 0)
    truth_BKHW = functional.one_hot(truth_BHW, classes).permute(0, 3, 1, 2) * inside_B1HW
    overlap_BK = (likely_BKHW * truth_BKHW).sum((2, 3))
    size_BK = truth_BKHW.sum((2, 3))
    dice_BK = 2 * overlap_BK / (likely_BKHW.sum((2, 3)) + size_BK).clamp_min(1e-6)
    present_BK = (size_BK > 0).float()
    return ((1 - dice_BK) * present_BK).sum(1) / present_BK.sum(1).clamp_min(1)


def _mean_scored(losses_BHW: Tensor, truth_BHW: Tensor, targets: Targets) -> Tensor:
    scored_BHW = truth_BHW != targets.ignore_label
    return losses_BHW.sum((1, 2)) / scored_BHW.sum((1, 2)).clamp_min(1)


def count(logits_BKHW: Tensor, batch: Batch, targets: Targets) -> Counts:
    """Counts of the scored pixels of the valid samples; the loss is the plain cross-entropy."""
    # In planes: the loss and the search for the likeliest class both go through them.
    logits_BKHW = in_planes(logits_BKHW.float())
    truth_BHW = batch.targets.long().masked_fill(~batch.valid[:, None, None], targets.ignore_label)
    losses_BHW = functional.cross_entropy(
        logits_BKHW, truth_BHW, ignore_index=targets.ignore_label, reduction="none"
    )
    loss, not_finite = fixed_point(_mean_scored(losses_BHW, truth_BHW, targets))
    return Counts(
        confusion=confusion_of(truth_BHW, likeliest(logits_BKHW), targets.classes),
        top5=torch.zeros((), dtype=torch.int64, device=logits_BKHW.device),
        loss=loss,
        samples=batch.valid.sum(),
        not_finite=not_finite,
    )


def sample_scores(logits_BKHW: Tensor, batch: Batch, targets: Targets) -> Tensor:
    """f32[B]: each picture's mean IoU over the classes that are in it or were predicted."""
    found_BHW, truth_BHW, many = likeliest(logits_BKHW), batch.targets, targets.classes
    return torch.stack(
        [_mean_iou(confusion_of(t, f, many)) for t, f in zip(truth_BHW, found_BHW, strict=True)]
    )


def _mean_iou(confusion_KK: Tensor) -> Tensor:
    hits_K = confusion_KK.diagonal().float()
    union_K = confusion_KK.sum(0) + confusion_KK.sum(1) - hits_K
    return (hits_K / union_K.clamp_min(1)).sum() / (union_K > 0).sum().clamp_min(1)


def scores(counts: Counts) -> dict[str, float]:
    """The usual segmentation scores, each in [0, 1], and the mean loss (Long et al. 2015, section 5)."""
    marginals = confusion(counts)
    in_truth_K = marginals.support > 0
    recall_in_truth = marginals.recall[in_truth_K]
    frequency_K = ratio(marginals.support, marginals.support.sum(keepdims=True).repeat(len(in_truth_K)))
    return {
        "mean_iou": marginals.mean(marginals.iou),
        "pixel_accuracy": marginals.accuracy,
        "mean_pixel_accuracy": float(recall_in_truth.mean()) if in_truth_K.any() else 0.0,
        "frequency_weighted_iou": float((frequency_K * marginals.iou).sum()),
        "mean_dice": marginals.mean(marginals.f1),
        "macro_precision": marginals.mean(marginals.precision),
        "macro_recall": marginals.mean(marginals.recall),
        "macro_f1": marginals.mean(marginals.f1),
        "loss": mean_loss(counts),
    }


def per_class(counts: Counts) -> list[ClassScores]:
    """IoU, Dice, precision, recall and F1 of each class."""
    marginals = confusion(counts)
    columns = {
        "iou": marginals.iou,
        "dice": marginals.f1,
        "precision": marginals.precision,
        "recall": marginals.recall,
        "f1": marginals.f1,
    }
    return class_scores(marginals, columns)


SEGMENTATION = Problem("segmentation", "mean_iou", loss, count, sample_scores, scores, per_class)
