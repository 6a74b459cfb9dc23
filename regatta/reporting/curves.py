"""Learning curves as SVG paths, all runs of a data set on the same axes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regatta.reporting.axes import linear_axis
from regatta.reporting.columns import score_column
from regatta.reporting.result import RunResult

WIDTH_PX, HEIGHT_PX = 640, 340
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 54, 630, 12, 296
_POINTS_MAX = 150
"""Longer curves are averaged in as many stretches: more cannot be seen, and the page stays small."""

Places = list[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """One run's line."""

    name: str
    colour: int
    path: str
    lone: tuple[float, float] | None
    """A single point is no line: it is drawn as a dot here."""


@dataclass(frozen=True)
class CurveChart:
    """One metric of all runs."""

    metric: str
    label: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    domain: tuple[float, float, float, float]
    """x low, x high, y low, y high: where the pointer is, told in epochs and values."""
    curves: list[Curve]


def curve_charts(results: Sequence[RunResult], colours: Mapping[str, int]) -> list[CurveChart]:
    """Validation score, validation loss and training loss of *results*, as far as they were recorded."""
    primary = results[0].primary
    label = score_column(primary).heading
    wanted = ((f"val/{primary}", f"Validation {label}", 100.0), ("val/loss", "Validation loss", 1.0))
    charts = [_chart(results, colours, *each) for each in (*wanted, ("train/loss", "Training loss", 1.0))]
    return [chart for chart in charts if chart is not None]


def _chart(
    results: Sequence[RunResult], colours: Mapping[str, int], metric: str, label: str, scale: float
) -> CurveChart | None:
    lines = {r.run.name: places for r in results if (places := _thin(_places(r, metric, scale)))}
    if not lines:
        return None
    x_values = [x for line in lines.values() for x, _ in line]
    x_axis = linear_axis((0.0, *x_values), LEFT_PX, RIGHT_PX, bounds=(0, max(x_values) or 1))
    y_axis = linear_axis(
        _without_outliers(lines), BOTTOM_PX, TOP_PX, (-math.inf, 101 if scale == 100 else math.inf)
    )
    curves: list[Curve] = []
    for name, line in lines.items():
        dots = [(x_axis.place_px(x), y_axis.place_px(y)) for x, y in line]
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in dots)
        curves.append(Curve(name, colours[name], path, dots[0] if len(dots) == 1 else None))
    domain = (x_axis.low, x_axis.high, y_axis.low, y_axis.high)
    return CurveChart(metric, label, x_axis.ticks(8), y_axis.ticks(), domain, curves)


def _places(result: RunResult, metric: str, scale: float) -> Places:
    """Epochs gone by (with fractions) and values of *metric*."""
    steps_per_epoch = max(result.record.steps / max(result.record.epochs, 1), 1.0)
    points = [p for p in result.history if p.metric == metric and math.isfinite(p.value)]
    return [(p.step / steps_per_epoch, p.value * scale) for p in sorted(points, key=lambda p: p.step)]


def _thin(places: Places) -> Places:
    stride = -(-len(places) // _POINTS_MAX)
    if stride <= 1:
        return places
    stretches = [places[i : i + stride] for i in range(0, len(places), stride)]
    return [(sum(x for x, _ in s) / len(s), sum(y for _, y in s) / len(s)) for s in stretches]


def _without_outliers(lines: Mapping[str, Places]) -> list[float]:
    """Values that set the scale. A loss that starts at fifty times the rest would flatten all the others."""
    values = sorted(y for line in lines.values() for _, y in line)
    usual = values[int(len(values) * 0.95)]
    return values if values[-1] <= 3 * abs(usual) else [y for y in values if y <= usual]
