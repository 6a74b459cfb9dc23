"""MLflow runs that a killed sync began: MLflow would call them running for ever."""

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from regatta.tracking.translation import RUN_TAG


def abandoned(client: MlflowClient, experiment_ids: Sequence[str]) -> list[Run]:
    """Our runs that are RUNNING. While the tracking lock is held, no sync of this machine is at them."""
    running = client.search_runs(list(experiment_ids), "attributes.status = 'RUNNING'")
    return [run for run in running if RUN_TAG in run.data.tags]


def end(client: MlflowClient, run: Run) -> None:
    """Mark the run as KILLED. Should another machine be at it, or its sync be taken up, FINISHED follows."""
    client.set_terminated(run.info.run_id, "KILLED", run.info.start_time)
