"""Where MLflow is, and what to say when it is not there."""

import os
import shutil
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from mlflow import MlflowClient

from regatta.blank_databases import begin_with_blank
from regatta.settings.home import home

SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Tracking:
    """An MLflow that answers, held by this process alone among those of this machine."""

    client: MlflowClient
    artifact_root: str | None
    """URI of the folder for new experiments' artifacts; None leaves it to the server."""


@contextmanager
def tracking(uri: str) -> Generator[Tracking, None, None]:
    """MLflow at *uri*, locked: two processes of this machine never sync at the same time.

    A sqlite file that is not there yet is made. Faults of MLflow come out as MLflow raises them, its
    warnings not at all: they are about its own code and nothing a user could mend.
    """
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "tracking.lock"), _spoken_to(uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _make_database(uri)
        served = urlsplit(uri).scheme in ("http", "https")
        yield Tracking(MlflowClient(uri, uri), None if served else _artifact_root())


@contextmanager
def _spoken_to(uri: str) -> Generator[None, None, None]:
    """Let MLflow's model registry find *uri*: it asks the process's, whatever its client was given.

    Not by `mlflow.set_tracking_uri`, which would leave the environment changed for good.
    """
    former = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]
        if former is not None:
            os.environ["MLFLOW_TRACKING_URI"] = former


def _artifact_root() -> str:
    return (home() / "mlartifacts").as_uri()


def _make_database(uri: str) -> None:
    """Make the sqlite file of *uri* whole or not at all.

    MLflow's migrations are not one transaction: a process killed among them leaves a file that
    MLflow can neither use nor mend.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or (path.exists() and path.stat().st_size):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # A folder, for sqlite keeps a journal beside its file. The lock makes a dead process's leavings ours.
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        begin_with_blank("mlflow", partial / path.name)
        SqlAlchemyStore(f"{SQLITE}{partial / path.name}", _artifact_root()).engine.dispose()
        (partial / path.name).replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
