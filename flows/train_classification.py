"""The flow `train-classification`: classification runs and all that they need. Deployed by prefect.yaml."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.flow import Concurrency, Overrides, Retries, RetryDelay, Runs, run_planned
from flows.walking.walk import Pace


@flow(name="train-classification")
def train_classification(
    runs: Runs = [],  # noqa: B006 (Prefect copies defaults; a list is what its form draws)
    set: Overrides = [],  # noqa: B006
    retries: Retries = 1,
    retry_delay_s: RetryDelay = 10.0,
    concurrency: Concurrency = 2,
) -> State[Any]:
    """Bring the classification runs up to date, with their upstream stages and their report.

    Args:
        runs: Runs of params.yaml; none means all that are about classification.
        set: Settings for this time only, like defaults.epochs=5 or runs.mlp-digits.lr=0.1.
        retries: How often a failed stage is tried again.
        retry_delay_s: Seconds before a failed stage is tried again.
        concurrency: Stages that may run at the same time.
    """
    return run_planned(runs, set, Pace(concurrency, retries, retry_delay_s), "classification")
