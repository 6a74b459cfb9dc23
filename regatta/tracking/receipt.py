"""What a sync leaves on disk: a receipt for DVC, links for the screens."""

from collections.abc import Mapping, Sequence
from typing import Any

from regatta.tracking.record import RunRecord


def receipt(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Which runs were paid, and how many points each: the same for the same journals."""
    return {"runs": {r.name: {"key": r.trained.key, "points": len(r.journal.points)} for r in records}}


def links(experiment_id: str, run_ids: Mapping[str, str]) -> dict[str, Any]:
    """Addresses below the MLflow UI's own."""
    experiment_url = f"#/experiments/{experiment_id}"
    runs = {name: f"{experiment_url}/runs/{run_id}" for name, run_id in run_ids.items()}
    # Without the type, MLflow's pages open on traces of language models.
    return {"experiment_url": f"{experiment_url}/runs?workflowType=machine_learning", "runs": runs}
