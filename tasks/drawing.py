"""A run's figures: `results/P/R/figures`."""

from collections.abc import Sequence
from pathlib import Path

from regatta.problems.counts import Counts
from regatta.problems.problem import Problem
from regatta.reporting.collecting import read_history, read_per_class
from regatta.reporting.figures import draw_confusion, draw_curves, draw_per_class
from regatta.reporting.samples import Sample, write_samples
from regatta.settings.trained import TrainedRun


def draw(
    folder: Path, counts: Counts, samples: Sequence[Sample], trained: TrainedRun, problem: Problem
) -> None:
    """Draw curves, confusion, bars for each class, and sample pictures from what lies in *folder*."""
    figures, stage = folder / "figures", f"evaluate@{trained.name}"
    figures.mkdir()
    draw_curves(read_history(folder / "curves.csv", stage), problem.primary, figures / "curves.png")
    draw_confusion(counts.confusion.cpu().numpy(), trained.classes, figures / "confusion.png")
    score = "iou" if trained.problem == "segmentation" else "f1"
    draw_per_class(read_per_class(folder / "per_class.csv", stage), score, figures / "per_class.png")
    write_samples(figures / "samples", samples, trained.ignore_label)
