"""Paying what is owed: each run's record into MLflow, exactly once.

An MLflow run is found by the name and the key of its record. Its tag `regatta.digest` says which
bytes it was made from, and its status FINISHED, set last, that all of them arrived. So a sync that
was killed is taken up where it stands: MLflow's store drops points that it has already (same run,
metric, step, time and value), files are overwritten with themselves, and the rest is looked up
before it is made. When a run's files have changed since, the former MLflow run goes to MLflow's
trash and a new one takes its place.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH
from sqlalchemy.exc import SQLAlchemyError

from regatta.errors import RegattaError
from regatta.progress import progress
from regatta.settings.addresses import without_password
from regatta.tracking import translation
from regatta.tracking.abandoned import abandoned, end
from regatta.tracking.champion import crown, ensure_version, registered_name, retire
from regatta.tracking.record import RunRecord
from regatta.tracking.served_model import ensure_model
from regatta.tracking.server import Tracking, tracking


@dataclass(frozen=True)
class Synced:
    """Where a problem's runs are in MLflow."""

    experiment_id: str
    run_ids: dict[str, str]
    """MLflow's run id for each run's name."""


def sync(problem: str, records: Sequence[RunRecord], datasets: Sequence[str], uri: str) -> Synced:
    """Bring the MLflow at *uri* up to date with *records*, all of *problem*; needs no more than one.

    Args:
        datasets: names in the order of params.yaml; the first one's best model is the champion.

    Raises:
        RegattaError: MLflow cannot be reached or refuses; what was paid stays paid, and the line
            says what is still owed.
    """
    run_ids: dict[str, str] = {}
    try:
        with tracking(uri) as mlflow:
            experiment_id = _ensure_experiment(mlflow, problem)
            advance = progress(f"track {problem}", len(records), "runs")
            for record in records:
                run_ids[record.name] = _ensure_run(mlflow.client, experiment_id, record)
                advance(1)
            # What a killed sync began, and whose record is no more.
            for run in abandoned(mlflow.client, [experiment_id]):
                end(mlflow.client, run)
            crown(mlflow.client, records, datasets)
    except (MlflowException, SQLAlchemyError, OSError) as fault:  # OSError: no connection, or no room
        owed = [record for record in records if record.name not in run_ids]
        raise RegattaError(_still_owed(problem, owed, uri, fault)) from None
    return Synced(experiment_id, run_ids)


def _still_owed(problem: str, owed: Sequence[RunRecord], uri: str, fault: Exception) -> str:
    points = sum(len(record.journal.points) for record in owed)
    reason = textwrap.shorten(str(fault).partition("[SQL:")[0], 160)
    line = (
        f"MLflow at {uri} does not take the runs of {problem} ({reason}): {len(owed)} runs with {points} "
        f"points are still owed, nothing is lost; mend that, then 'python -m tasks.track {problem}' pays"
    )
    return without_password(line, uri)


def _ensure_experiment(mlflow: Tracking, name: str) -> str:
    found = mlflow.client.get_experiment_by_name(name)
    if found is None:
        return mlflow.client.create_experiment(
            name,
            mlflow.artifact_root and f"{mlflow.artifact_root}/{name}",
            # Else MLflow's pages open it as one of language-model traces.
            tags={"mlflow.experimentKind": "custom_model_development"},
        )
    if found.lifecycle_stage != "active":
        raise RegattaError(
            f"MLflow: the experiment '{name}' is in the trash; bring it back with "
            f"'mlflow experiments restore --experiment-id {found.experiment_id}'"
        )
    return found.experiment_id


def _ensure_run(client: MlflowClient, experiment_id: str, record: RunRecord) -> str:
    """The id of the MLflow run that holds all of *record*."""
    run = _current(client, experiment_id, record) or _create(client, experiment_id, record)
    if run.info.status != "FINISHED":
        _pay(client, run.info.run_id, record)
    return run.info.run_id


def _current(client: MlflowClient, experiment_id: str, record: RunRecord) -> Run | None:
    """The run made from these very bytes; those made from others go to the trash."""
    name, key = record.name, record.trained.key
    found = client.search_runs(
        [experiment_id],
        f"tags.`{translation.RUN_TAG}` = '{name}' and tags.`{translation.KEY_TAG}` = '{key}'",
        order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
    )
    same = [run for run in found if run.data.tags.get(translation.DIGEST_TAG) == record.digest]
    for run in found:
        if run not in same[:1]:
            _replace(client, run, record)
    return same[0] if same else None


def _replace(client: MlflowClient, run: Run, record: RunRecord) -> None:
    run_id = run.info.run_id
    retire(client, registered_name(record.trained.problem), run_id)
    for model in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)
    client.delete_run(run_id)


def _create(client: MlflowClient, experiment_id: str, record: RunRecord) -> Run:
    return client.create_run(experiment_id, record.started_ms, translation.tags(record), record.name)


def _pay(client: MlflowClient, run_id: str, record: RunRecord) -> None:
    params = translation.as_params(translation.parameters(record))
    for first in range(0, len(params), MAX_PARAMS_TAGS_PER_BATCH):
        client.log_batch(run_id, params=params[first : first + MAX_PARAMS_TAGS_PER_BATCH])
    _log_metrics(client, run_id, translation.history(record))
    client.log_inputs(run_id, [translation.dataset_input(record)])
    _log_files(client, run_id, record)
    model = ensure_model(client, run_id, record)
    _log_metrics(client, run_id, translation.final_metrics(record, model.model_id))
    ensure_version(client, run_id, model.model_id, record)
    client.set_terminated(run_id, "FINISHED", record.ended_ms)


def _log_metrics(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    for first in range(0, len(metrics), MAX_METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + MAX_METRICS_PER_BATCH])


def _log_files(client: MlflowClient, run_id: str, record: RunRecord) -> None:
    client.log_artifacts(run_id, str(record.outputs.results))
    client.log_artifacts(run_id, str(record.outputs.journals), "journal")
    client.log_artifact(run_id, str(record.outputs.costs), "costs")
    for path in record.shared:
        client.log_artifact(run_id, str(path))
