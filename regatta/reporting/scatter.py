"""Score against a cost: where the dots lie, which of them nobody beats, and where their names have room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regatta.reporting.axes import Axis, linear_axis, log_axis
from regatta.reporting.columns import Column, score_column
from regatta.reporting.result import RunResult

WIDTH_PX, HEIGHT_PX = 480, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 466, 22, 276
_LETTER_PX, _LINE_PX = 6.6, 13.0
"""Size of the labels' letters, on the generous side."""


@dataclass(frozen=True)
class Dot:
    """One run."""

    name: str
    colour: int
    x_px: float
    y_px: float
    label_x_px: float
    label_y_px: float
    anchor: str
    has_label: bool
    """False where the name would cover another; hovering still tells it."""
    title: str


@dataclass(frozen=True)
class Scatter:
    """Everything that a template needs to draw one chart."""

    title: str
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    dots: list[Dot]
    front: str
    """SVG path through the runs that no other run beats in both."""


def scatter(results: Sequence[RunResult], cost: Column, colours: Mapping[str, int]) -> Scatter | None:
    """Chart of the deciding score over *cost*; None when no run has that cost."""
    score = score_column(results[0].primary)
    shown = [(r, cost.value(r) or 0.0, score.value(r)) for r in results]
    points = [(r, x, 100 * y) for r, x, y in shown if x > 0 and y is not None]
    if not points:
        return None
    x_axis = log_axis((x for _, x, _ in points), _LEFT, _RIGHT)
    y_axis = linear_axis((y for _, _, y in points), _BOTTOM, _TOP, bounds=(0, 101))
    return Scatter(
        title=f"{score.label} against {cost.label.split()[0].lower()}{' time' * (cost.key == 'train_s')}",
        x_label=f"{cost.label if cost.unit else 'Wall time'}, {cost.unit or 's'} (log scale)",
        y_label=score.heading,
        x_ticks=x_axis.ticks(),
        y_ticks=y_axis.ticks(),
        dots=_dots(points, x_axis, y_axis, (score, cost), colours),
        front=_front([(x_axis.place_px(x), y_axis.place_px(y)) for _, x, y in points]),
    )


def _dots(
    points: Sequence[tuple[RunResult, float, float]],
    x_axis: Axis,
    y_axis: Axis,
    measures: tuple[Column, Column],
    colours: Mapping[str, int],
) -> list[Dot]:
    places = [(x_axis.place_px(x), y_axis.place_px(y)) for _, x, y in points]
    # Nothing may be written over a dot, so the dots are the first boxes taken.
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    dots: list[Dot] = []
    for (result, _, _), (x_px, y_px) in zip(points, places, strict=True):
        label_x, label_y, anchor, is_free = _room(result.run.name, x_px, y_px, taken)
        titles = [f"{m.heading} {m.text(m.value(result))}" for m in measures]
        title = f"{result.run.name}: {', '.join(titles)}"
        colour = colours[result.run.name]
        dots.append(Dot(result.run.name, colour, x_px, y_px, label_x, label_y, anchor, is_free, title))
    return dots


Box = tuple[float, float, float, float]


def _room(name: str, x_px: float, y_px: float, taken: list[Box]) -> tuple[float, float, str, bool]:
    """First place beside a dot where *name* covers nothing; it is added to *taken*."""
    width = len(name) * _LETTER_PX
    for anchor, x, y in (
        ("start", x_px + 9, y_px + 4),
        ("end", x_px - 9, y_px + 4),
        ("middle", x_px, y_px - 10),
        ("middle", x_px, y_px + 18),
        ("start", x_px + 7, y_px - 7),
        ("start", x_px + 7, y_px + 15),
        ("end", x_px - 7, y_px - 7),
        ("end", x_px - 7, y_px + 15),
        ("start", x_px + 3, y_px - 18),
        ("start", x_px + 3, y_px + 24),
    ):
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        box = (left, y - _LINE_PX + 3, left + width, y + 3)
        inside = box[0] >= _LEFT + 2 and box[2] <= WIDTH_PX and box[1] >= 14 and box[3] <= _BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            return x, y, anchor, True
    return x_px, y_px, "start", False


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _front(places: Sequence[tuple[float, float]]) -> str:
    """Steps through the dots that have nothing both above and to the left (y grows downwards)."""
    best_px = float("inf")
    steps: list[str] = []
    for x_px, y_px in sorted(places):
        if y_px < best_px:
            steps.append(f"H{x_px}V{y_px}" if steps else f"M{x_px} {_BOTTOM}V{y_px}")
            best_px = y_px
    return f"{''.join(steps)}H{_RIGHT}"
