"""What a run came to, as frozen values: everything that a report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from regatta.reporting.samples import SampleRecord
from regatta.settings.course import Run
from regatta.settings.trained import TrainedRun


class _Written(BaseModel):
    """A JSON file of an earlier stage; keys that a report does not show are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Costs(_Written):
    """costs/P/R.json: what a run takes. None is "not measured here"."""

    parameters: int | None = None
    flops: float | None = None
    """Of one image forward."""
    latency_p50_ms: float | None = None
    """Of one image alone."""
    latency_p95_ms: float | None = None
    throughput_per_s: float | None = None
    peak_memory_mb: float | None = None
    train_s: float | None = None
    evaluate_s: float | None = None


class Timings(_Written):
    """timings.json: where and how fast a run trained."""

    train_s: float
    samples_per_s: float | None = None
    data_wait_share: float | None = None
    workers: int | None = None
    device: str = ""
    hardware: str | dict[str, Any] = ""
    git_commit: str | None = None
    versions: dict[str, str] = {}


@dataclass(frozen=True)
class Point:
    """One value of a run's history."""

    epoch: int
    step: int
    metric: str
    value: float


@dataclass(frozen=True)
class ClassScore:
    """One score of one class; NaN where the class does not occur."""

    name: str
    score: str
    value: float
    support: float


@dataclass(frozen=True)
class RunResult:
    """Everything known of one finished run."""

    run: Run
    primary: str
    """Key in `scores` of the score that ranks."""
    samples: int
    """Test samples behind the scores."""
    scores: Mapping[str, float]
    costs: Costs
    per_class: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    """Counts [actual, predicted] i64[K K], in the order of `record.classes`."""
    history: tuple[Point, ...]
    record: TrainedRun
    timings: Timings
    samples_folder: Path
    """Where the pictures that `pictures` names lie."""
    pictures: tuple[SampleRecord, ...]

    @property
    def score(self) -> float:
        return self.scores[self.primary]
