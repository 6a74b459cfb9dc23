"""A run's figures: `results/P/R/figures`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from regatta.problems.counts import Counts
from regatta.problems.problem import Problem
from regatta.reporting.figures import draw_confusion, draw_curves, draw_per_class
from regatta.reporting.samples import Sample, write_samples
from regatta.settings.trained import TrainedRun


def draw(
    folder: Path, counts: Counts, samples: Sequence[Sample], trained: TrainedRun, problem: Problem
) -> None:
    """Draw curves, confusion, bars for each class, and sample pictures from what lies in *folder*."""
    figures = folder / "figures"
    figures.mkdir()
    draw_curves(pd.read_csv(folder / "curves.csv"), problem.primary, figures / "curves.png")
    draw_confusion(counts.confusion.cpu().numpy(), trained.classes, figures / "confusion.png")
    score = "iou" if trained.problem == "segmentation" else "f1"
    # Classes may be called "none" or "nan": names are taken as they are written.
    per_class = pd.read_csv(folder / "per_class.csv", keep_default_na=False)
    draw_per_class(per_class, score, figures / "per_class.png")
    write_samples(figures / "samples", samples, trained.ignore_label)
