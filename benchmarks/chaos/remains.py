"""What a course leaves behind, read for comparing: DVC's lock, MLflow's history, Prefect's states."""

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from regatta.engine.journal import CLOCKED

TIMED = ("journals/", "costs/", "report/")
"""Outputs that tell of time."""
UNFINISHED = re.compile(r"\.(partial|former)(-\d+)?$")
Point = tuple[str, int, float | None]
"""Metric, step, value; no value where it tells of time."""


@dataclass(frozen=True)
class Remains:
    """What is compared."""

    stages: dict[str, Any]
    """Of dvc.lock, without the digests of what tells of time."""
    points: Counter[Point]
    """MLflow's history over all living runs."""
    statuses: tuple[str, ...]
    """Of MLflow's living runs."""
    stale: tuple[str, ...]
    """Runs of MLflow and flow runs of Prefect that seem to go on."""
    unfinished: tuple[str, ...]
    """Files and folders that somebody began and did not finish, and work in flight."""


def read_remains(project: Path) -> Remains:
    """What lies in *project* now."""
    mlflow = project / ".regatta/mlflow.db"
    return Remains(
        stages=_stages(project),
        points=Counter(_points(mlflow)),
        statuses=tuple(status for status, stage in _mlflow_runs(mlflow) if stage == "active"),
        stale=(
            *(f"MLflow run {status}" for status, _ in _mlflow_runs(mlflow) if status == "RUNNING"),
            *(f"flow run {state}" for state in _flow_states(project) if state in ("RUNNING", "PENDING")),
        ),
        unfinished=tuple(_unfinished(project)),
    )


def _stages(project: Path) -> dict[str, Any]:
    lock = project / "dvc.lock"
    stages: dict[str, Any] = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    for stage in stages.values():
        for entry in stage.get("deps", []) + stage.get("outs", []):
            if entry["path"].startswith(TIMED):
                for name in ("md5", "size", "nfiles"):
                    entry.pop(name, None)
    return stages


def _points(database: Path) -> Iterator[Point]:
    query = (
        "SELECT metrics.key, metrics.step, metrics.value FROM metrics JOIN runs USING (run_uuid) "
        "WHERE runs.lifecycle_stage = 'active'"
    )
    for metric, step, value in _rows(database, query):
        yield metric, step, None if metric in CLOCKED or metric.startswith("cost/") else value


def _mlflow_runs(database: Path) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in _rows(database, "SELECT status, lifecycle_stage FROM runs")]


def _flow_states(project: Path) -> list[str]:
    database = project / ".regatta/prefect/prefect.db"
    return [row[0] for row in _rows(database, "SELECT state_type FROM flow_run")]


def _rows(database: Path, query: str) -> list[Any]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def _unfinished(project: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(project):
        place = Path(folder).relative_to(project)
        if place == Path(".dvc"):
            folders.clear()
        yield from (str(place / name) for name in [*folders, *files] if UNFINISHED.search(name))
    yield from (f".regatta/runs/{path.name}" for path in (project / ".regatta/runs").glob("*"))
    if (project / "results").exists():  # until then, what was trained is kept for a DVC that is killed
        yield from (f".regatta/finished/{path.name}" for path in (project / ".regatta/finished").glob("*"))
