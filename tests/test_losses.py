"""Losses against torch's own and segmentation_models_pytorch's."""

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

from regatta.problems.batch import Batch
from regatta.problems.classification import CLASSIFICATION
from regatta.problems.problem import Targets
from regatta.problems.segmentation import SEGMENTATION
from regatta.settings.recipe import Recipe, SegmentationLoss

TARGETS = Targets(classes=4, ignore_label=255, class_weights=None)


def maps(ignored: bool) -> tuple[torch.Tensor, Batch]:
    torch.manual_seed(0)
    truth = torch.randint(0, 4, (1, 8, 8))
    if ignored:
        truth[:, :3] = 255
    return torch.randn(1, 4, 8, 8), Batch(
        torch.zeros(1, 1, 8, 8), truth.byte(), torch.zeros(1), torch.ones(1)
    )


def recipe(**weights: float) -> Recipe:
    return Recipe(loss=SegmentationLoss(**weights))


def test_classification_is_cross_entropy_with_smoothing_and_weights() -> None:
    torch.manual_seed(0)
    logits, truth = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 1, 1])
    weights = torch.tensor([1.0, 0.5, 2.0, 1.0])
    batch = Batch(torch.zeros(6, 1, 1, 1), truth, torch.arange(6), torch.ones(6, dtype=torch.bool))
    losses = CLASSIFICATION.loss(logits, batch, Targets(4, 255, weights), Recipe(label_smoothing=0.1))
    expected = functional.cross_entropy(logits, truth, weights, label_smoothing=0.1, reduction="none")
    assert torch.equal(losses, expected)


@pytest.mark.parametrize("ignored", [False, True])
def test_cross_entropy_is_the_mean_over_scored_pixels(ignored: bool) -> None:
    logits, batch = maps(ignored)
    expected = functional.cross_entropy(logits, batch.targets.long(), ignore_index=255)
    assert SEGMENTATION.loss(logits, batch, TARGETS, recipe()).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


@pytest.mark.parametrize("ignored", [False, True])
def test_dice_equals_the_library(ignored: bool) -> None:
    logits, batch = maps(ignored)
    library = smp.losses.DiceLoss("multiclass", ignore_index=255 if ignored else None)
    mine = SEGMENTATION.loss(logits, batch, TARGETS, recipe(ce=0, dice=1))
    assert mine.item() == pytest.approx(library(logits, batch.targets.long()).item(), rel=1e-5)


def test_focal_without_focus_is_cross_entropy_and_focus_lowers_it() -> None:
    logits, batch = maps(ignored=True)
    plain = SEGMENTATION.loss(logits, batch, TARGETS, recipe(ce=1))
    no_focus = SEGMENTATION.loss(logits, batch, TARGETS, recipe(ce=0, focal=1, focal_gamma=0))
    focus = SEGMENTATION.loss(logits, batch, TARGETS, recipe(ce=0, focal=1, focal_gamma=2))
    probability = torch.exp(
        -functional.cross_entropy(logits, batch.targets.long(), reduction="none", ignore_index=255)
    )
    by_hand = ((1 - probability) ** 2 * -probability.log())[batch.targets != 255].mean()
    assert no_focus.item() == pytest.approx(plain.item(), rel=1e-6)
    assert focus.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_terms_are_summed_by_their_weights() -> None:
    logits, batch = maps(ignored=True)
    ce, dice = (
        SEGMENTATION.loss(logits, batch, TARGETS, recipe(**w)) for w in ({"ce": 1}, {"ce": 0, "dice": 1})
    )
    both = SEGMENTATION.loss(logits, batch, TARGETS, recipe(ce=0.5, dice=2))
    assert both.item() == pytest.approx(0.5 * ce.item() + 2 * dice.item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_has_a_slope_where_a_pixel_is_beyond_doubt(gamma: float) -> None:
    logits, batch = maps(ignored=False)
    logits = (100.0 * functional.one_hot(batch.targets.long(), 4).permute(0, 3, 1, 2)).requires_grad_()
    SEGMENTATION.loss(logits, batch, TARGETS, recipe(ce=0, focal=1, focal_gamma=gamma)).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
