"""What one run left on disk, read whole before a word of it goes to MLflow."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regatta.digest import digest_of_file
from regatta.errors import RegattaError
from regatta.settings.card import Card, read_card
from regatta.settings.course import Run
from regatta.settings.outputs import PACKED, RunOutputs, outputs_of
from regatta.settings.reading import read_yaml
from regatta.settings.trained import TrainedRun, read_trained
from regatta.tracking.journal import Journal, read_journal

LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class RunRecord:
    """A run as its files tell it."""

    trained: TrainedRun
    card: Card
    journal: Journal
    timings: dict[str, Any]
    scores: dict[str, Any]
    costs: dict[str, float]
    data_digest: str
    """DVC's digest of the packed data that the run was trained on; the manifest's where DVC was not used."""
    digest: str
    """Over every byte that the run left: says whether MLflow has this very record."""
    outputs: RunOutputs
    shared: tuple[Path, ...]
    """Files of the whole course that go with each run: dvc.lock, params.yaml and the card, where there."""

    @property
    def name(self) -> str:
        return self.trained.name

    @property
    def started_ms(self) -> int:
        return round(self.timings["started_at_s"] * 1000)

    @property
    def ended_ms(self) -> int:
        """When the last point was written."""
        last_ms = max((round(point.time_s * 1000) for point in self.journal.points), default=0)
        return max(self.started_ms, last_ms)

    @property
    def primary(self) -> str:
        """Name of the score that ranks the problem's runs; higher is better."""
        return self.scores["primary"]


def read_records(runs: Sequence[Run]) -> list[RunRecord]:
    """Everything that each of *runs* left in the project's folder.

    Raises:
        RegattaError: something is missing or cannot be read; the line says which stage makes it.
    """
    locked = _locked_stages()
    return [_read_record(run, locked) for run in runs]


def _read_record(run: Run, locked: Mapping[str, Any]) -> RunRecord:
    outputs = outputs_of(run.name, run.problem)
    timings = _read_json(outputs.journals / "timings.json", f"train@{run.name}", {"started_at_s", "train_s"})
    scores = _read_json(outputs.results / "scores.json", f"evaluate@{run.name}", {"primary"})
    costs = _read_json(outputs.costs, f"evaluate@{run.name}") | {"train_s": timings["train_s"]}
    trained = read_trained(outputs.trained)
    return RunRecord(
        trained=trained,
        card=read_card(run.dataset),
        journal=read_journal(outputs.journals / "journal.jsonl"),
        timings=timings,
        scores=scores,
        costs={name: value for name, value in costs.items() if isinstance(value, int | float)},
        data_digest=_dvc_digest(run, locked) or trained.data_digest,
        digest=_digest(outputs),
        outputs=outputs,
        shared=_shared(run),
    )


def _shared(run: Run) -> tuple[Path, ...]:
    paths = (LOCK, Path("params.yaml"), Path("datasets") / f"{run.dataset}.yaml")
    return tuple(path for path in paths if path.is_file())


def _read_json(path: Path, stage: str, required: Set[str] = frozenset()) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RegattaError(f"{path}: no such file; run 'dvc repro {stage}'") from None
    except ValueError as fault:
        raise RegattaError(f"{path}: not JSON ({fault}); run 'dvc repro --force {stage}'") from None
    if not isinstance(content, dict):
        raise RegattaError(f"{path}: no JSON object; run 'dvc repro --force {stage}'")
    if lacking := sorted(required - set(content)):
        raise RegattaError(f"{path}: lacks {', '.join(lacking)}; run 'dvc repro --force {stage}'")
    return content


def _locked_stages() -> Mapping[str, Any]:
    """What `dvc.lock` has of each stage: a long file, a tenth of a second for every twenty runs."""
    try:
        return read_yaml(LOCK).get("stages", {})
    except RegattaError:  # not there, or DVC is writing it this very moment
        return {}


def _dvc_digest(run: Run, locked: Mapping[str, Any]) -> str | None:
    """DVC's digest of the packed data that the run was trained on, if it has one."""
    packed = (PACKED / run.dataset).as_posix()
    deps = locked.get(f"train@{run.name}", {}).get("deps", ())
    return next((dep.get("md5") for dep in deps if dep.get("path") == packed), None)


def _digest(outputs: RunOutputs) -> str:
    """sha256 over names and bytes of the run's own files."""
    total = hashlib.sha256()
    for path in _own_files(outputs):
        total.update(f"{path.name} {digest_of_file(path)}\n".encode())
    return total.hexdigest()


def _own_files(outputs: RunOutputs) -> Iterator[Path]:
    for folder in (outputs.trained, outputs.journals, outputs.results):
        yield from sorted(path for path in folder.rglob("*") if path.is_file())
    yield outputs.costs
