"""The model registry: one registered model per problem, one version per run, an alias on the best."""

import math
import re
from collections.abc import Iterable, Sequence

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from regatta.tracking.record import RunRecord
from regatta.tracking.translation import DATA_TAG, identity

CHAMPION = "champion"
SCORE_TAG = "score"


def registered_name(problem: str) -> str:
    return f"regatta-{problem}"


def ensure_version(client: MlflowClient, run_id: str, model_id: str, record: RunRecord) -> None:
    """Register the run's model as a version of its problem's model, if it is not one yet."""
    name = registered_name(record.trained.problem)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description="Best model of each run; higher scores are better.")
    if not versions_of(client, name, run_id):
        client.create_model_version(
            name, f"models:/{model_id}", run_id, tags=_tags(record), model_id=model_id, await_creation_for=0
        )


def _tags(record: RunRecord) -> dict[str, str]:
    return identity(record) | {
        "family": record.trained.family,
        "dataset": record.trained.dataset,
        DATA_TAG: record.trained.data_digest,
        "primary": record.primary,
        SCORE_TAG: repr(float(record.scores[record.primary])),
    }


def versions_of(client: MlflowClient, name: str, run_id: str) -> list[ModelVersion]:
    """Versions made from the run."""
    return list(client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"))


def crown(client: MlflowClient, records: Sequence[RunRecord], datasets: Iterable[str]) -> None:
    """Put `champion-DATASET` on each data set's best version, and `champion` on the first data set's.

    The best of all versions that were scored on the very same data counts, also those of runs that
    are no longer in params.yaml; of equals, the oldest. *datasets* are in the order of params.yaml.
    """
    name = registered_name(records[0].trained.problem)
    versions = _all_versions(client, name)
    digests = {record.trained.dataset: record.trained.data_digest for record in records}
    present = [dataset for dataset in datasets if dataset in digests]
    aliases = [(alias_of(dataset), dataset) for dataset in present] + [(CHAMPION, present[0])]
    crowned: dict[str, object] = client.get_registered_model(name).aliases
    for alias, dataset in aliases:
        best = _best(versions, dataset, digests[dataset])
        if best is not None and str(crowned.get(alias)) != str(best.version):
            client.set_registered_model_alias(name, alias, str(best.version))


def alias_of(dataset: str) -> str:
    """Alias of a data set's best; MLflow takes only letters, digits, '_' and '-'."""
    return f"{CHAMPION}-" + re.sub(r"[^\w-]", "-", dataset)


def _all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _best(versions: Iterable[ModelVersion], dataset: str, data_digest: str) -> ModelVersion | None:
    rivals = [
        version
        for version in versions
        if version.tags.get("dataset") == dataset
        and version.tags.get(DATA_TAG) == data_digest
        and math.isfinite(_score(version))
    ]
    return max(rivals, key=lambda version: (_score(version), -int(version.version)), default=None)


def _score(version: ModelVersion) -> float:
    return float(version.tags.get(SCORE_TAG, "nan"))


def retire(client: MlflowClient, name: str, run_id: str) -> None:
    """Take the run's versions out of the registry."""
    try:
        for version in versions_of(client, name, run_id):
            client.delete_model_version(name, str(version.version))
    except MlflowException as fault:
        if fault.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
