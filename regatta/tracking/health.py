"""Whether MLflow can be used, and whether runs are called running that nobody is at."""

import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from regatta.findings import Finding, fault, fine
from regatta.settings.addresses import tracking_uri, without_password
from regatta.settings.home import home
from regatta.tracking.server import SQLITE

SERVER_TIMEOUT_S = 10.0
DATABASE_TIMEOUT_S = 10.0
REBUILD = "'dvc repro' makes it again from the journals"


def silence() -> Iterator[Finding]:
    from mlflow.telemetry.utils import is_telemetry_disabled

    if is_telemetry_disabled():
        yield fine("MLflow sends no usage statistics")
    else:
        yield fault("MLflow sends usage statistics", "export MLFLOW_DISABLE_TELEMETRY=true")


def store() -> Iterator[Finding]:
    """The server answers, or the database is whole and of this MLflow; and no run seems to run for ever."""
    uri = tracking_uri()
    if urlsplit(uri).scheme in ("http", "https"):
        found = list(_server(uri))
    elif uri.startswith(SQLITE):
        found = list(_database(Path(uri.removeprefix(SQLITE))))
    else:
        found = [fine(f"MLflow's store: {without_password(uri, uri)}")]
    yield from found
    is_there = not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE)).exists()
    if is_there and all(finding.severity == "ok" for finding in found):
        yield from _runs(uri)


def _server(uri: str) -> Iterator[Finding]:
    shown = without_password(uri, uri)
    try:
        # Without the password: it is not for the terminal, where a fault may tell the address.
        with urllib.request.urlopen(f"{shown.rstrip('/')}/health", timeout=SERVER_TIMEOUT_S):
            yield fine(f"MLflow's server answers ({shown})")
    except urllib.error.HTTPError as refusal:
        # It wants to know who asks, or knows nothing of its health: there it is, anyway.
        yield fine(f"MLflow's server answers ({shown}: {refusal.code})")
    except (OSError, HTTPException, ValueError) as reason:
        text = f"MLFLOW_TRACKING_URI={shown}: no MLflow answers there ({getattr(reason, 'reason', reason)})"
        yield fault(text, "start it or unset MLFLOW_TRACKING_URI; 'python -m tasks.track PROBLEM' pays later")


def _database(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield fine("no run has been tracked here yet")
        return
    aside = f"mv {path} {path}.broken; remove tracked/: {REBUILD}"
    try:
        # Never made by opening it; a journal that a kill left beside it is played back by any reader.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", DATABASE_TIMEOUT_S, uri=True)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            versions = {version for (version,) in database.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.Error as reason:
        yield fault(f"{path}: {reason}", aside)
        return
    if verdict != "ok":
        yield fault(f"{path} is damaged: {verdict}", aside)
    elif versions != (wanted := _schema()):
        text = f"{path} has the schema of another MLflow ({', '.join(versions)}, not {', '.join(wanted)})"
        yield fault(text, f"mlflow db upgrade {SQLITE}{path}")
    else:
        yield fine(f"{path}: whole, schema {', '.join(versions)}")


def _schema() -> set[str]:
    """The revision of the tables that this MLflow works with."""
    import mlflow.store.db_migrations
    from alembic.script import ScriptDirectory

    return set(ScriptDirectory(mlflow.store.db_migrations.__path__[0]).get_heads())


def _runs(uri: str) -> Iterator[Finding]:
    """While we hold the lock, no sync of this machine is at any run."""
    from mlflow import MlflowClient

    from regatta.tracking.abandoned import abandoned, end

    try:
        with FileLock(home() / "tracking.lock", timeout=0):
            client = MlflowClient(uri, uri)
            ours = [experiment.experiment_id for experiment in client.search_experiments()]
            stale = abandoned(client, ours)
            for run in stale:
                text = (
                    f"MLflow run '{run.info.run_name}' ({run.info.run_id}) is RUNNING, but no sync is at it"
                )
                yield fault(text, "make doctor FIX=1, or the next 'dvc repro'", partial(end, client, run))
    except Timeout:
        yield fine("a sync is at work; its runs are its own")
        return
    if not stale:
        yield fine("no run that nobody is at")


CHECKS = (silence, store)
