"""The page's sections as plain values: what the templates show, already chosen and ordered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from regatta.errors import RegattaError
from regatta.reporting.columns import COSTS, SCORES, Column, count
from regatta.reporting.pictures import confusion_uri, data_uri
from regatta.reporting.result import RunResult
from regatta.reporting.samples import SampleRecord


@dataclass(frozen=True)
class Heat:
    """Runs × classes of one score. Values are percentages; None where a class does not occur."""

    score: str
    classes: list[str]
    supports: list[str]
    rows: list[tuple[RunResult, list[float | None]]]
    best: list[float | None]
    """Per class, over the runs."""
    extent: tuple[float, float]
    """Lowest and highest value, which get the palest and the deepest shade."""


@dataclass(frozen=True)
class Seen:
    """One sample as one run sees it; pictures are data URIs or ""."""

    record: SampleRecord
    image: str
    truth_map: str
    prediction_map: str
    error_map: str
    activation_map: str


@dataclass(frozen=True)
class Confusion:
    """A run's confusion matrix and its most frequent mistakes."""

    uri: str
    classes: tuple[str, ...]
    counts: list[list[str]]
    mistakes: list[tuple[str, str, str, str]]
    """actual, predicted, count, share of the actual ones."""


def shown_columns(results: Sequence[RunResult]) -> list[Column]:
    """Columns with at least one value, the score that ranks before all others."""
    columns = [c for c in (*SCORES, *COSTS) if any(c.value(r) is not None for r in results)]
    return sorted(columns, key=lambda column: column.key != results[0].primary)


def best_value(column: Column, results: Sequence[RunResult]) -> float | None:
    values = [value for result in results if (value := column.value(result)) is not None]
    return (max(values) if column.higher_is_better else min(values)) if len(values) > 1 else None


def heat(results: Sequence[RunResult]) -> Heat | None:
    """Per class scores side by side: IoU where it is known, else F1."""
    score = "iou" if any(c.score == "iou" for c in results[0].per_class) else "f1"
    of_first = [c for c in results[0].per_class if c.score == score]
    names = [c.name for c in of_first]
    rows = [(result, _class_values(result, score, names)) for result in results]
    known = [value for _, values in rows for value in values if value is not None]
    if not known:
        return None
    best = [
        max((v for v in column if v is not None), default=None) for column in zip(*_values(rows), strict=True)
    ]
    return Heat(
        score={"iou": "IoU", "f1": "F1"}[score],
        classes=names,
        supports=[count(c.support) for c in of_first],
        rows=rows,
        best=best if len(rows) > 1 else [None] * len(names),
        extent=(min(known), max(known)),
    )


def _values(rows: list[tuple[RunResult, list[float | None]]]) -> list[list[float | None]]:
    return [values for _, values in rows]


def _class_values(result: RunResult, score: str, names: Sequence[str]) -> list[float | None]:
    known = {c.name: c.value * 100 for c in result.per_class if c.score == score}
    values = [known.get(name, math.nan) for name in names]
    return [value if math.isfinite(value) else None for value in values]


def see(result: RunResult, record: SampleRecord, with_image: bool = True) -> Seen:
    """*record* with its pictures read; without the image and truth where those are shown already."""
    names = (record.prediction_map, record.error_map, record.activation_map)
    prediction, error, activation = (_uri(result, name) for name in names)
    image, truth = (_uri(result, name if with_image else None) for name in (record.image, record.truth_map))
    return Seen(record, image, truth, prediction, error, activation)


def side_by_side(results: Sequence[RunResult]) -> list[tuple[Seen, list[Seen | None]]]:
    """The samples that all runs show: what is there, and what each run made of it."""
    common = {
        record.id: result for result in reversed(results) for record in result.pictures if _is_random(record)
    }
    return [
        (see(common[i], _random(common[i], i)), [_seen_by(r, i) for r in results]) for i in sorted(common)
    ]


def _is_random(record: SampleRecord) -> bool:
    return record.kind == "random"


def _random(result: RunResult, sample_id: int) -> SampleRecord:
    return next(r for r in result.pictures if _is_random(r) and r.id == sample_id)


def _seen_by(result: RunResult, sample_id: int) -> Seen | None:
    found = any(_is_random(r) and r.id == sample_id for r in result.pictures)
    return see(result, _random(result, sample_id), with_image=False) if found else None


def extremes(result: RunResult, kind: str, most: int) -> list[Seen]:
    """Up to *most* best or worst samples of one run."""
    return [see(result, record) for record in result.pictures if record.kind == kind][:most]


def _uri(result: RunResult, name: str | None) -> str:
    if not name:
        return ""
    path = result.samples_folder / name
    try:
        return data_uri(path)
    except OSError:
        hint = f"make it again with 'dvc repro --force evaluate@{result.run.name}'"
        raise RegattaError(f"{path}: no readable picture; {hint}") from None


def confusion(result: RunResult) -> Confusion:
    classes, counts = result.record.classes, result.confusion
    rows = [[count(int(n)) if n else "" for n in row] for row in counts]
    return Confusion(confusion_uri(counts), classes, rows, _mistakes(result, most=6))


def _mistakes(result: RunResult, most: int) -> list[tuple[str, str, str, str]]:
    classes, counts = result.record.classes, result.confusion
    pairs = [(int(counts[a, p]), a, p) for a in range(len(counts)) for p in range(len(counts)) if a != p]
    worst = sorted((pair for pair in pairs if pair[0]), key=lambda pair: (-pair[0], pair[1:]))[:most]
    return [(classes[a], classes[p], count(n), f"{100 * n / counts[a].sum():.1f} %") for n, a, p in worst]
