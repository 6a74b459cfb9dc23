"""Scores against independent references: torchmetrics and scikit-learn; and merging without loss."""

from collections import Counter

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as reference
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from regatta.problems.batch import Batch
from regatta.problems.classification import CLASSIFICATION
from regatta.problems.confusion import confusion
from regatta.problems.counts import Counts, from_flat
from regatta.problems.likeliest import likeliest
from regatta.problems.problem import Targets
from regatta.problems.segmentation import SEGMENTATION

CLASSES, IGNORE = 7, 255
TARGETS = Targets(CLASSES, IGNORE, None)


def labelled(samples: int, seed: int = 0) -> tuple[Tensor, Batch]:
    """Random logits that are often right, with some padding at the end; class 6 never occurs."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, CLASSES - 1, (samples,), generator=generator)
    logits = torch.randn(samples, CLASSES, generator=generator)
    logits[torch.arange(samples), truth] += 1.5
    logits[:, CLASSES - 1] -= 10
    valid = torch.arange(samples) < samples - 3
    return logits, Batch(torch.zeros(samples, 1, 1, 1), truth, torch.arange(samples), valid)


def mapped(samples: int, seed: int = 0) -> tuple[Tensor, Batch]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, CLASSES, (samples, 9, 11), generator=generator)
    logits = torch.randn(samples, CLASSES, 9, 11, generator=generator)
    logits.scatter_add_(1, truth[:, None], torch.full(truth[:, None].shape, 1.5))
    truth[torch.rand(truth.shape, generator=generator) < 0.1] = IGNORE
    valid = torch.arange(samples) < samples - 1
    return logits, Batch(torch.zeros(samples, 1, 9, 11), truth.to(torch.uint8), torch.arange(samples), valid)


def test_classification_scores_equal_scikit_learn() -> None:
    logits, batch = labelled(200)
    scores = CLASSIFICATION.scores(CLASSIFICATION.count(logits, batch, TARGETS))
    truth, found = batch.targets[batch.valid].numpy(), logits.argmax(1)[batch.valid].numpy()
    averages = sklearn.metrics.precision_recall_fscore_support(
        truth, found, average="macro", labels=np.arange(CLASSES - 1), zero_division=0
    )
    assert scores["top1"] == pytest.approx(sklearn.metrics.accuracy_score(truth, found), abs=1e-12)
    assert [scores[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(averages[:3])
    top5 = sklearn.metrics.top_k_accuracy_score(
        truth, logits[batch.valid].numpy(), k=5, labels=np.arange(CLASSES)
    )
    assert scores["top5"] == pytest.approx(top5, abs=1e-12)
    loss = torch.nn.functional.cross_entropy(logits[batch.valid], batch.targets[batch.valid])
    assert scores["loss"] == pytest.approx(float(loss), abs=2e-6)


def test_classification_per_class_equals_scikit_learn() -> None:
    logits, batch = labelled(200)
    rows = CLASSIFICATION.per_class(CLASSIFICATION.count(logits, batch, TARGETS))
    truth, found = batch.targets[batch.valid].numpy(), logits.argmax(1)[batch.valid].numpy()
    expected = sklearn.metrics.precision_recall_fscore_support(
        truth, found, labels=np.arange(CLASSES), zero_division=0
    )
    for column, name in enumerate(("precision", "recall", "f1")):
        assert [row.scores[name] for row in rows] == pytest.approx(expected[column].tolist())
    assert [row.support for row in rows] == expected[3].tolist()


def test_confusion_equals_scikit_learn() -> None:
    logits, batch = labelled(200)
    counts = CLASSIFICATION.count(logits, batch, TARGETS)
    truth, found = batch.targets[batch.valid], logits.argmax(1)[batch.valid]
    expected = sklearn.metrics.confusion_matrix(truth, found, labels=np.arange(CLASSES))
    assert np.array_equal(counts.confusion.numpy(), expected)


def test_segmentation_scores_equal_torchmetrics() -> None:
    logits, batch = mapped(12)
    counts = SEGMENTATION.count(logits, batch, TARGETS)
    scores = SEGMENTATION.scores(counts)
    truth, found = batch.targets[batch.valid].long(), logits.argmax(1)[batch.valid]
    settings = {"num_classes": CLASSES, "ignore_index": IGNORE}
    iou = reference.multiclass_jaccard_index(found, truth, average="macro", **settings)
    weighted = reference.multiclass_jaccard_index(found, truth, average="weighted", **settings)
    accuracy = reference.multiclass_accuracy(found, truth, average="micro", **settings)
    recall = reference.multiclass_accuracy(found, truth, average="macro", **settings)
    f1 = reference.multiclass_f1_score(found, truth, average="macro", **settings)
    precision = reference.multiclass_precision(found, truth, average="macro", **settings)
    assert scores["mean_iou"] == pytest.approx(float(iou), abs=1e-6)
    assert scores["frequency_weighted_iou"] == pytest.approx(float(weighted), abs=1e-6)
    assert scores["pixel_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)
    assert scores["mean_pixel_accuracy"] == pytest.approx(float(recall), abs=1e-6)
    assert scores["mean_dice"] == scores["macro_f1"] == pytest.approx(float(f1), abs=1e-6)
    assert scores["macro_precision"] == pytest.approx(float(precision), abs=1e-6)


def test_segmentation_per_class_equals_torchmetrics() -> None:
    logits, batch = mapped(12)
    rows = SEGMENTATION.per_class(SEGMENTATION.count(logits, batch, TARGETS))
    truth, found = batch.targets[batch.valid].long(), logits.argmax(1)[batch.valid]
    iou = reference.multiclass_jaccard_index(found, truth, CLASSES, average="none", ignore_index=IGNORE)
    assert [row.scores["iou"] for row in rows] == pytest.approx(iou.tolist(), abs=1e-6)
    assert sum(row.support for row in rows) == int((truth != IGNORE).sum())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_likeliest_class_is_argmax_also_among_equals(layout: torch.memory_format) -> None:
    logits = torch.randint(-3, 3, (2, 255, 6, 5), generator=torch.Generator().manual_seed(1)).float()
    logits[0, :, 0, 0] = -torch.inf
    assert torch.equal(likeliest(logits.to(memory_format=layout)).long(), logits.argmax(1))


class Calls(TorchDispatchMode):
    """Counts the operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.count = Counter[str]()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count[operation.overloadpacket.__name__] += 1
        return operation(*args, **kwargs or {})


def test_a_batch_is_one_bincount_and_no_argmax() -> None:
    logits, batch = mapped(12)
    with Calls() as calls:
        SEGMENTATION.count(logits, batch, TARGETS)
    assert calls.count["bincount"] == 1 and calls.count["argmax"] == 0
    assert calls.count["_log_softmax"] == 1 and calls.count["copy_"] == 0


def test_counts_do_not_depend_on_how_logits_lie() -> None:
    logits, batch = mapped(12)
    counts = [
        SEGMENTATION.count(logits.to(memory_format=layout), batch, TARGETS).flat()
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    assert torch.equal(*counts)


@pytest.mark.parametrize("problem", [CLASSIFICATION, SEGMENTATION], ids=lambda problem: problem.name)
def test_counts_of_parts_add_up_to_the_whole_to_the_last_bit(problem) -> None:
    make = labelled if problem is CLASSIFICATION else mapped
    parts = [problem.count(*make(10, seed), TARGETS) for seed in range(4)]
    forward, backward = parts[0], parts[3]
    for part in parts[1:]:
        forward = forward + part
    for part in reversed(parts[:3]):
        backward = backward + part
    assert problem.scores(forward) == problem.scores(backward)
    assert torch.equal(from_flat(forward.flat(), CLASSES).confusion, forward.confusion)


def test_scores_over_nothing_are_zero_and_do_not_fail() -> None:
    nothing = Counts(*(torch.zeros(shape, dtype=torch.int64) for shape in ((3, 3), (), (), (), ())))
    assert set(SEGMENTATION.scores(nothing).values()) == {0.0}
    assert set(CLASSIFICATION.scores(nothing).values()) == {0.0}
    assert not confusion(nothing).seen.any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("samples", [1, 2, 5])
def test_a_loss_that_is_no_number_is_not_lost_among_others(bad: float, samples: int) -> None:
    logits, batch = labelled(20)
    assert CLASSIFICATION.count(logits, batch, TARGETS).not_finite == 0
    # Of infinite logits the true class's is the lesser one.
    logits[torch.arange(samples), (batch.targets[:samples] + 1) % CLASSES] = bad
    assert CLASSIFICATION.count(logits, batch, TARGETS).not_finite == samples
