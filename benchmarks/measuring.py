"""Sides measured in turn, A B A B …, and what came of it: a page and a table in `benchmarks/`.

A figure is a ratio of medians of sides that took turns in one run: what slows this machine down for a
while then slows all of them down.
"""

import csv
import datetime
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median

PAIRS = 5
FOLDER = Path(__file__).parent
NO_GOAL = "–"
GOALS_HEAD = "| measure | ratio | of medians | of the pairs | goal | |\n|---|---|--:|--:|--:|---|\n"
"""Of a table of ratios against their goals."""


@dataclass(frozen=True)
class Sample:
    """One side, measured once."""

    measure: str
    pair: int
    side: str
    value: float
    unit: str


@dataclass(frozen=True)
class Goal:
    """What the ratio `side` / `against` of the medians of one measure is to be."""

    measure: str
    side: str
    against: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        return (self.at_least is None or ratio >= self.at_least) and (
            self.at_most is None or ratio <= self.at_most
        )

    def __str__(self) -> str:
        least = [] if self.at_least is None else [f"≥ {self.at_least:g}"]
        most = [] if self.at_most is None else [f"≤ {self.at_most:g}"]
        return ", ".join(least + most) or NO_GOAL


@dataclass(frozen=True)
class Ratio:
    """Of the medians; and the lowest and highest of those that took turns."""

    of_medians: float
    lowest: float
    highest: float


def in_turn(
    measure: str, unit: str, sides: Mapping[str, Callable[[], float]], pairs: int = PAIRS
) -> list[Sample]:
    """Let each of *sides* measure itself (in *unit*) *pairs* times, in turn."""
    samples: list[Sample] = []
    for pair in range(pairs):
        for side, measured in sides.items():
            samples.append(Sample(measure, pair, side, measured(), unit))
            print(f"{measure}: {side} {samples[-1].value:.4g} {unit} ({pair + 1}/{pairs})", flush=True)
    return samples


def ratio(samples: Iterable[Sample], goal: Goal) -> Ratio:
    """What came of *goal*."""
    values = {
        side: [sample.value for sample in samples if (sample.measure, sample.side) == (goal.measure, side)]
        for side in (goal.side, goal.against)
    }
    ratios = [a / b for a, b in zip(values[goal.side], values[goal.against], strict=True)]
    return Ratio(median(values[goal.side]) / median(values[goal.against]), min(ratios), max(ratios))


def hardware() -> str:
    """A short name of this machine's kind, for file names."""
    return f"{platform.machine()}-{os.cpu_count()}cores"


def processor() -> str:
    """What the cores compute with, as torch names it (AVX2, AVX512, …): ratios differ with it."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def write(what: str, head: str, samples: Sequence[Sample], goals: Sequence[Goal]) -> Path:
    """Write `benchmarks/[what]_[hardware]_[date].md`, and a .csv of *samples* beside it; print the page.

    *head* says how it was measured, and by which command it is made again.
    """
    today = datetime.date.today().isoformat()
    path = FOLDER / f"{what}_{hardware()}_{today}.md"
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(field.name for field in fields(Sample))
        table.writerows(astuple(sample) for sample in samples)
    where = f"{today}, {hardware()}, {processor()}."
    path.write_text(f"{head}\n\n{where}\n\n{page(samples, goals)}", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))
    return path


def page(samples: Sequence[Sample], goals: Sequence[Goal]) -> str:
    """The ratios against their goals, and the medians that they are made of, in markdown."""
    rows = [_row(samples, goal) for goal in goals]
    return (f"{GOALS_HEAD}{''.join(rows)}\n" if goals else "") + _medians(samples)


def _row(samples: Sequence[Sample], goal: Goal) -> str:
    found = ratio(samples, goal)
    met = "" if str(goal) == NO_GOAL else "met" if goal.is_met(found.of_medians) else "missed"
    return (
        f"| {goal.measure} | {goal.side} / {goal.against} | {found.of_medians:.3g} "
        f"| {found.lowest:.3g} … {found.highest:.3g} | {goal} | {met} |\n"
    )


def _medians(samples: Sequence[Sample]) -> str:
    table = "| measure | side | median | from … to | times |\n|---|---|--:|--:|--:|\n"
    for measure, side, unit in dict.fromkeys((s.measure, s.side, s.unit) for s in samples):
        values = [s.value for s in samples if (s.measure, s.side) == (measure, side)]
        table += (
            f"| {measure} | {side} | {median(values):.4g} {unit} | {min(values):.4g} … {max(values):.4g} "
            f"| {len(values)} |\n"
        )
    return table
