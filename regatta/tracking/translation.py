"""A run's record in MLflow's words. The same names for every family, so that runs compare."""

import json
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE, MAX_PARAM_VAL_LENGTH

from regatta.tracking.record import RunRecord

KEY_TAG = "regatta.key"
RUN_TAG = "regatta.run"
DIGEST_TAG = "regatta.digest"
DATA_TAG = "regatta.data"
"""Digest of the packed data's manifest: scores compare only where it is the same."""


def parameters(record: RunRecord) -> dict[str, str]:
    """Data set, family, its options and every setting of training, nested ones as `augment.flip`."""
    settings = record.trained.settings.model_dump(mode="json")
    content = {"dataset": record.trained.dataset, "family": record.trained.family}
    content |= {"option": record.trained.options} | settings
    return {name: value[:MAX_PARAM_VAL_LENGTH] for name, value in _flat(content).items()}


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def as_params(values: Mapping[str, str]) -> list[Param]:
    return [Param(name, value) for name, value in values.items()]


def history(record: RunRecord) -> list[Metric]:
    """The journal's points with their own steps and times."""
    return [
        Metric(point.metric, point.value, round(point.time_s * 1000), point.step)
        for point in record.journal.points
    ]


def final_metrics(record: RunRecord, model_id: str) -> list[Metric]:
    """`test/…` and `cost/…`, of the run and its model; MLflow draws bars of what has only a step 0."""
    scores = {f"test/{name}": value for name, value in record.scores.items() if _is_number(value)}
    costs = {f"cost/{name}": value for name, value in record.costs.items()}
    return [
        Metric(name, float(value), record.ended_ms, 0, model_id=model_id)
        for name, value in (scores | costs).items()
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def identity(record: RunRecord) -> dict[str, str]:
    """Tags by which a run is found again."""
    return {RUN_TAG: record.name, KEY_TAG: record.trained.key, DIGEST_TAG: record.digest}


def tags(record: RunRecord) -> dict[str, str]:
    """All tags of the run, `identity` among them."""
    described = {name: str(record.timings[name]) for name in ("device", "hardware") if name in record.timings}
    return identity(record) | {
        "problem": record.trained.problem,
        "family": record.trained.family,
        "dataset": record.trained.dataset,
        "mlflow.source.name": f"python -m tasks.train {record.name}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": str(record.timings.get("git_commit") or "unknown"),
        **described,
    }


def dataset_input(record: RunRecord) -> DatasetInput:
    """The packed data as an MLflow dataset: where its card lies, what it holds; no code in it."""
    trained = record.trained
    source = {"card": f"datasets/{trained.dataset}.yaml", "homepage": record.card.homepage}
    profile = {"digest": record.data_digest, "manifest_digest": trained.data_digest}
    schema = {"input": trained.input.model_dump(), "classes": trained.classes}
    dataset = Dataset(
        name=trained.dataset,
        digest=record.data_digest[:MAX_DATASET_DIGEST_SIZE],
        source_type="regatta-card",
        source=json.dumps(source),
        schema=json.dumps(schema),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])
