"""What evaluating and training left on disk, read into the values of `regatta/reporting/result.py`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regatta.reporting.reading import broken, number, read_csv, read_json
from regatta.reporting.result import ClassScore, Costs, Point, RunResult, Timings
from regatta.reporting.samples import SampleRecord
from regatta.settings.course import Course, Run
from regatta.settings.outputs import outputs_of
from regatta.settings.trained import TrainedRun


def collect(course: Course, problem: str, root: Path = Path()) -> tuple[RunResult, ...]:
    """Results of the runs about *problem* that params.yaml lists, in its order; other folders are ignored.

    Raises:
        RegattaError: a file is missing or broken; the line names the stage that makes it.
    """
    return tuple(_read_run(run, root) for run in course.runs.values() if run.problem == problem)


def _read_run(run: Run, root: Path) -> RunResult:
    outputs = outputs_of(run.name, run.problem, root)
    results = outputs.results
    evaluate, train = f"evaluate@{run.name}", f"train@{run.name}"
    scores = read_json(results / "scores.json", dict[str, float | int | str | None], evaluate)
    record = read_json(results / "run.json", TrainedRun, evaluate)
    costs = read_json(outputs.costs, Costs, evaluate)
    timings = read_json(outputs.journals / "timings.json", Timings, train)
    samples_folder = results / "figures" / "samples"
    primary = str(scores.get("primary"))
    if not isinstance(scores.get(primary), float | int):
        raise broken(results / "scores.json", f"'primary' names no score: '{primary}'", evaluate)
    return RunResult(
        run=run,
        primary=primary,
        samples=int(scores.get("samples") or 0),
        scores={k: float(v) for k, v in scores.items() if isinstance(v, float | int) and k != "samples"},
        costs=_with_training(costs, record, timings),
        per_class=read_per_class(results / "per_class.csv", evaluate),
        confusion=_read_confusion(results / "confusion.csv", record.classes, evaluate),
        history=read_history(results / "curves.csv", evaluate),
        record=record,
        timings=timings,
        samples_folder=samples_folder,
        pictures=tuple(read_json(samples_folder / "samples.json", list[SampleRecord], evaluate)),
    )


def _with_training(costs: Costs, record: TrainedRun, timings: Timings) -> Costs:
    """Evaluating need not know what training took; training does."""
    return costs.model_copy(update={"train_s": timings.train_s, "parameters": record.parameters})


def read_per_class(path: Path, stage: str) -> tuple[ClassScore, ...]:
    """The rows of per_class.csv; names of classes are taken as they are written.

    Raises:
        RegattaError: it is missing or broken; the line names *stage*, which makes it.
    """

    def class_score(name: str, score: str, value: str, support: str) -> ClassScore:
        return ClassScore(name, score, number(value), number(support))

    return tuple(read_csv(path, ("class", "score", "value", "support"), class_score, stage))


def read_history(path: Path, stage: str) -> tuple[Point, ...]:
    """The points of curves.csv, or history.csv.

    Raises:
        RegattaError: it is missing or broken; the line names *stage*, which makes it.
    """

    def point(epoch: str, step: str, metric: str, value: str) -> Point:
        return Point(int(epoch), int(step), metric, number(value))

    return tuple(read_csv(path, ("epoch", "step", "metric", "value"), point, stage))


def _read_confusion(path: Path, classes: Sequence[str], stage: str) -> NDArray[np.int64]:
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)

    def add(actual: str, predicted: str, count: str) -> None:
        if not {actual, predicted} <= set(classes):
            raise ValueError(f"'{actual}' or '{predicted}' is no class of this run")
        counts[classes.index(actual), classes.index(predicted)] = int(float(count))

    read_csv(path, ("actual", "predicted", "count"), add, stage)
    return counts
