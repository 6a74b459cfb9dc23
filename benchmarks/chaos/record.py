"""What a series of trials came to: a table of every trial, and a page of sums."""

import csv
import math
import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from benchmarks.chaos.draw import Kind
from benchmarks.chaos.trial import Result

COLUMNS = (
    *("seed", "trial", "kind", "moment", "killed", "lost", "duplicated", "differing", "orphans", "stale"),
    *("recover_s", "steps_repeated", "seconds_repeated", "checkpoint_every_s", "trial_s", "faults"),
)
COUNTED = ("lost", "duplicated", "differing", "orphans", "stale")
"""What a promise counts; all are to be 0."""
TITLES = ("kind of kill", "kills", "lost", "duplicated", "differing", "orphans", "stale", "other faults")


def row(result: Result, seed: int, interval_s: float) -> dict[str, object]:
    """One line of the table; empty where a trial has nothing to do with a column."""
    blow, verdict = result.blows[-1], result.verdict
    before = blow.standing
    trained = before.step is not None
    return {
        "seed": seed,
        "trial": result.trial.number,
        "kind": result.trial.kinds[-1].name,
        "moment": str(result.trial.moments[-1]),
        "killed": int(blow.killed),
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "differing": verdict.differing,
        "orphans": verdict.orphans,
        "stale": verdict.stale,
        "recover_s": None if result.recover_s is None else round(result.recover_s, 2),
        "steps_repeated": before.step - before.resumes_from if before.step is not None else None,
        "seconds_repeated": round(before.lost_s, 3) if trained else None,
        "checkpoint_every_s": interval_s if trained else None,
        "trial_s": round(result.seconds, 1),
        "faults": "; ".join(verdict.faults),
    }


def write_table(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """All trials, in the order of their numbers."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def summary(rows: Sequence[dict[str, object]]) -> str:
    """The sums in one line, which the README repeats to the letter."""
    counted = ", ".join(f"{column} {_sum(rows, column)}" for column in COUNTED)
    return (
        f"{len(rows)} trials, {_sum(rows, 'killed')} kills: {counted}; {_median(rows, 'recover_s'):.1f} s to "
        f"recover, {_median(rows, 'steps_repeated'):.0f} steps repeated (medians)"
    )


def read_table(path: Path) -> list[dict[str, object]]:
    """What `write_table` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _number(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> object:
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return text or None


def page(rows: Sequence[dict[str, object]], kinds: Sequence[Kind], head: str) -> str:
    """The sums, in markdown."""
    lines = [head, "", f"{summary(rows)}.", ""]
    lines += [f"| {' | '.join(TITLES)} | s to recover | steps repeated |", "|---" + "|--:" * 9 + "|"]
    for kind in kinds:
        of_kind = [row for row in rows if row["kind"] == kind.name]
        if of_kind:
            lines.append(_line(kind.name, of_kind))
    lines += [_line("**all**", rows), "", _explained(rows, kinds)]
    return "\n".join(lines) + "\n"


def _line(name: str, rows: Sequence[dict[str, object]]) -> str:
    others = sum(bool(row["faults"]) and not any(row[column] for column in COUNTED) for row in rows)
    counts = [_sum(rows, column) for column in ("killed", *COUNTED)] + [others]
    spreads = [_spread(rows, column) for column in ("recover_s", "steps_repeated")]
    return f"| {' | '.join(map(str, [name, *counts, *spreads]))} |"


def _sum(rows: Sequence[dict[str, object]], column: str) -> int:
    return sum(value for row in rows if isinstance(value := row[column], int))


def _spread(rows: Sequence[dict[str, object]], column: str) -> str:
    """Median and largest."""
    values = _values(rows, column)
    return f"{statistics.median(values):.3g} ({max(values):.3g})" if values else "–"


def _median(rows: Sequence[dict[str, object]], column: str) -> float:
    values = _values(rows, column)
    return statistics.median(values) if values else math.nan


def _values(rows: Sequence[dict[str, object]], column: str) -> list[int | float]:
    return [value for row in rows if isinstance(value := row[column], int | float)]


def _explained(rows: Sequence[dict[str, object]], kinds: Sequence[Kind]) -> str:
    repeated = [value for row in rows if isinstance(value := row["seconds_repeated"], float)]
    weights = ", ".join(f"{kind.name} {kind.weight}" for kind in kinds)
    return f"{MEANINGS}\n\n{_cost(repeated, rows)}Drawn with the weights: {weights}."


def _cost(repeated: Sequence[float], rows: Sequence[dict[str, object]]) -> str:
    """Training done again, against the interval of checkpoints."""
    if not repeated:
        return ""
    (interval_s,) = {row["checkpoint_every_s"] for row in rows} - {None}
    return (
        f"Training done again for each kill of training: median {statistics.median(repeated):.2f} s, at most "
        f"{max(repeated):.2f} s, with a checkpoint every {interval_s} s and at each epoch's end.\n\n"
    )


MEANINGS = """\
Every trial: a copy of a small project, the command, SIGKILL at the drawn moment, the same command again, and
then everything held against a course that nobody killed: digests of all outputs in `dvc.lock` (weights,
scores, data), MLflow's history point for point (metrics of time by their existence), MLflow's and Prefect's
runs all in a final state and one for the run, no process of the trial alive 10 s after, nothing unfinished.

- *lost*, *duplicated*: points of MLflow's history. *differing*: stages whose entry in `dvc.lock` is another.
- *other faults*: trials with anything else, a command that failed the second time for instance.
- *s to recover*, median (largest): from the kill, through the start of the same command, until the journal is
  beyond the step that it had reached, or, where training was not touched, until the command is done. None
  where the same command went on undisturbed.
- *steps repeated*, median (largest): the last step told of before the kill, minus the step gone on from."""


def versions() -> str:
    """Of what is being killed."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "dvc", "prefect", "mlflow"))
