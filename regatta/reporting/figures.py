"""Figures of one run: arrays and rows in, PNG files out.

Pure functions on matplotlib's objects (no pyplot, no state); no dates or versions are written, so the same
input gives the same bytes. matplotlib costs most of a second: it is imported only when something is drawn.
"""

import math
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regatta.reporting.result import ClassScore, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT = "#1c2733", "#d5dbe1"
_BLUE, _PALE_BLUE, _ORANGE = "#0072b2", "#7fb2d6", "#d55e00"
_NUMBERS_UP_TO = 16
"""Confusion matrices of more classes show colours only: numbers would not be readable."""
_LABEL_CHARACTERS = 20


def draw_curves(history: Sequence[Point], primary: str, path: Path) -> None:
    """Loss (training and validation) and the score that decides, over the epochs.

    history: metrics train/loss, val/loss and val/*primary* are drawn, those that are missing are left out.
    primary: "top1" or "mean_iou".
    path: the PNG to write.
    """
    with _figure(path, width_in=8.4, height_in=3.4) as figure:
        loss, score = figure.subplots(1, 2)
        _draw_metric(loss, history, "train/loss", "training", _PALE_BLUE)
        _draw_metric(loss, history, "val/loss", "validation", _ORANGE)
        _draw_metric(score, history, f"val/{primary}", "validation", _BLUE)
        _finish_curves(loss, "loss")
        _finish_curves(score, primary.replace("_", " "))


def draw_confusion(counts: NDArray[Any], classes: Sequence[str], path: Path) -> None:
    """Confusion matrix: rows are what is there, columns what was predicted, shades are shares of a row.

    counts: integers [K K], counts[actual, predicted], of samples or pixels; a row may be empty.
    classes: K names; K from 2 to 100 stays readable, numbers are written up to 16.
    path: the PNG to write.
    """
    many = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell_in = float(np.interp(many, [2, 10, 30, 100], [0.9, 0.52, 0.28, 0.15]))
    side_in = many * cell_in + 1.9
    with _figure(path, width_in=side_in + 0.5, height_in=side_in) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        size_pt = min(9.0, cell_in * 60)
        names = [_short(name) for name in classes]
        _label_ticks(axes, names, size_pt)
        axes.set(xlabel="predicted", ylabel="actual")
        if many <= _NUMBERS_UP_TO:
            _write_counts(axes, counts, shares, min(9.0, cell_in * 15))


def draw_per_class(per_class: Sequence[ClassScore], score: str, path: Path) -> None:
    """One bar for each class, best at the top, with its support.

    per_class: a class without support or without a value (NaN) gets no bar.
    score: which rows are drawn: "precision", "recall", "f1", "iou" or "dice".
    path: the PNG to write.
    """
    rows = sorted((row for row in per_class if row.score == score), key=_worst_first)
    values = np.array([row.value for row in rows])
    with _figure(path, width_in=7, height_in=max(1.6, 0.26 * len(rows) + 0.9)) as figure:
        axes = figure.subplots()
        places = np.arange(len(rows))
        axes.barh(places, np.nan_to_num(values), height=0.72, color=_BLUE)
        axes.set_yticks(places, [_short(row.name) for row in rows], parse_math=False)
        axes.set(xlim=(0, 1.16), ylim=(-0.6, len(rows) - 0.4), xlabel=_score_label(score))
        axes.set_xticks(np.linspace(0, 1, 6))
        for place, row in enumerate(rows):
            text = "no samples" if math.isnan(row.value) else f"{row.value:.3f}  ({_compact(row.support)})"
            x = 0.01 + (0 if math.isnan(row.value) else row.value)
            axes.text(x, place, text, va="center", fontsize=7.5, color=_INK)
        _clean(axes)


def _worst_first(row: ClassScore) -> float:
    return -math.inf if math.isnan(row.value) else row.value


@contextmanager
def _figure(path: Path, width_in: float, height_in: float) -> "Generator[Figure]":
    """A fresh figure, saved to *path* at the end; a user's matplotlibrc has no say in it."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A class name in a script that the font lacks shows boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rc("font", size=9)
        matplotlib.rc("text", color=_INK)
        matplotlib.rc("axes", edgecolor=_FAINT, labelcolor=_INK)
        matplotlib.rc("xtick", color=_INK)
        matplotlib.rc("ytick", color=_INK)
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path, dpi=120, metadata={"Software": None})


def _draw_metric(axes: "Axes", history: Sequence[Point], metric: str, label: str, colour: str) -> None:
    points = sorted((point for point in history if point.metric == metric), key=lambda point: point.step)
    if not points:
        return
    steps_per_epoch = _steps_per_epoch(history)
    epochs = [point.step / steps_per_epoch for point in points]
    marker = "o" if len(points) <= 30 else ""
    values = [point.value for point in points]
    axes.plot(epochs, values, label=label, color=colour, marker=marker, markersize=3)


def _steps_per_epoch(history: Sequence[Point]) -> float:
    """With it, epochs gone by have fractions: steps are evenly spread over epochs."""
    last = max(history, key=lambda point: point.step)
    return max(last.step / max(last.epoch, 1), 1e-9)


def _finish_curves(axes: "Axes", label: str) -> None:
    axes.set(xlabel="epoch", ylabel=label)
    if axes.lines:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "nothing recorded", transform=axes.transAxes, ha="center")
    _clean(axes)


def _clean(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_FAINT, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)


def _label_ticks(axes: "Axes", names: Sequence[str], size_pt: float) -> None:
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=90, fontsize=size_pt, parse_math=False)
    axes.set_yticks(places, names, fontsize=size_pt, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _write_counts(axes: "Axes", counts: NDArray[Any], shares: NDArray[np.float64], size_pt: float) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.55 else _INK
            axes.text(column, row, _compact(count), ha="center", va="center", color=colour, fontsize=size_pt)


def _compact(count: float) -> str:
    """1234 → 1.2k, 2500000 → 2.5M: never more than five characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.{int(count < 10 * size)}f}{letter}"
    return f"{count:.0f}"


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_CHARACTERS else name[: _LABEL_CHARACTERS - 1] + "…"


def _score_label(score: str) -> str:
    return {"f1": "F1", "iou": "IoU", "dice": "Dice"}.get(score, score)
