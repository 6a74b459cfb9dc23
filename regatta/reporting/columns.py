"""What each score and cost is called, which way is better, and how it is written for people."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from regatta.reporting.result import RunResult

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """One measure of a run."""

    key: str
    label: str
    unit: str
    """What stands beside or below the name: "%", "ms" or nothing."""
    meaning: str
    """One sentence for who does not know it."""
    is_cost: bool
    higher_is_better: bool
    write: Callable[[float], str]

    def value(self, result: RunResult) -> float | None:
        """The measure of *result*; None where it was not taken."""
        found: float | None = getattr(result.costs, self.key) if self.is_cost else result.scores.get(self.key)
        return found if found is not None and math.isfinite(found) else None

    @property
    def heading(self) -> str:
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def text(self, value: float | None) -> str:
        return NOTHING if value is None else self.write(value)


def percent(value: float) -> str:
    return f"{value * 100:.2f}"


def compact(value: float) -> str:
    """Three figures: 1234567 → "1.23 M", 36.68 → "36.7"; two below a tenth: 0.00741 → "0.0074"."""
    for size, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{_three_figures(value / size)}{letter}"
    return _three_figures(value)


def count(value: float) -> str:
    """As `compact`, but whole numbers below a thousand stay whole."""
    return f"{value:.0f}" if value < 1000 else compact(value)


def duration(value_s: float) -> str:
    if value_s < 60:
        return f"{_three_figures(value_s)} s"
    minutes, seconds = divmod(round(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _three_figures(value: float) -> str:
    if value and abs(value) < 0.1:
        return f"{value:.{min(1 - math.floor(math.log10(abs(value))), 9)}f}"
    places = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{places}f}"


def _score(key: str, label: str, meaning: str) -> Column:
    return Column(key, label, "%", meaning, False, True, percent)


def _cost(
    key: str,
    label: str,
    unit: str,
    meaning: str,
    write: Callable[[float], str] = compact,
    higher: bool = False,
) -> Column:
    return Column(key, label, unit, meaning, True, higher, write)


SCORES = (
    _score("top1", "Top-1", "Share of samples whose likeliest class is right."),
    _score("top5", "Top-5", "Share of samples whose class is among the five likeliest."),
    _score(
        "mean_iou", "Mean IoU", "Overlap of predicted and true area over their union, averaged over classes."
    ),
    _score("mean_dice", "Mean Dice", "Twice the overlap over the sum of both areas, averaged over classes."),
    _score("pixel_accuracy", "Pixel acc.", "Share of pixels given the right class."),
    _score(
        "mean_pixel_accuracy",
        "Mean pixel acc.",
        "Share of right pixels of each class, averaged over classes.",
    ),
    _score("frequency_weighted_iou", "Freq.-weighted IoU", "IoU averaged by how many pixels each class has."),
    _score("macro_f1", "Macro F1", "Harmonic mean of precision and recall, averaged over classes."),
    _score(
        "macro_precision",
        "Macro precision",
        "Share of right ones among those predicted, averaged over classes.",
    ),
    _score("macro_recall", "Macro recall", "Share found of those that are there, averaged over classes."),
    Column("loss", "Loss", "", "Loss on the test split.", False, False, lambda value: f"{value:.3f}"),
)

COSTS = (
    _cost("latency_p50_ms", "Latency p50", "ms", "Median time for one image alone."),
    _cost("latency_p95_ms", "Latency p95", "ms", "Nineteen of twenty images alone are faster."),
    _cost("throughput_per_s", "Images", "/s", "Images in one second, in batches.", higher=True),
    _cost("parameters", "Parameters", "", "Numbers that are learnt.", count),
    _cost("flops", "FLOPs", "", "Floating-point operations for one image forward.", count),
    _cost(
        "peak_memory_mb", "Peak memory", "MB", "Most that weights and a batch of predictions take at once."
    ),
    _cost("train_s", "Training", "", "Wall time of training.", duration),
    _cost("evaluate_s", "Evaluation", "", "Wall time of evaluating.", duration),
)


def score_column(key: str) -> Column:
    """The column of the score *key*; a score not known here is written as a plain number."""
    known = {column.key: column for column in SCORES}
    return known.get(key) or Column(
        key, key.replace("_", " "), "", "", False, True, lambda value: f"{value:.4g}"
    )
