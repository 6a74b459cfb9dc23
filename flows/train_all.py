"""The flow `reproduce`: every stage, or some runs and all that they need. Deployed by prefect.yaml."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.flow import Concurrency, Overrides, Retries, RetryDelay, Runs, run_planned
from flows.walking.walk import Pace


@flow(name="reproduce")
def reproduce(
    runs: Runs = [],  # noqa: B006 (Prefect copies defaults; a list is what its form draws)
    set: Overrides = [],  # noqa: B006
    retries: Retries = 1,
    retry_delay_s: RetryDelay = 10.0,
    concurrency: Concurrency = 2,
) -> State[Any]:
    """Bring the whole course up to date, or the runs named, with their upstream stages and reports.

    Args:
        runs: Runs of params.yaml; none means all.
        set: Settings for this time only, like defaults.epochs=5 or runs.unet-scenes.lr=0.1.
        retries: How often a failed stage is tried again.
        retry_delay_s: Seconds before a failed stage is tried again.
        concurrency: Stages that may run at the same time.
    """
    return run_planned(runs, set, Pace(concurrency, retries, retry_delay_s))
