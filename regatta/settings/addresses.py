"""MLflow's address; whether an address is this machine's, and what of it may be shown."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from regatta.settings.home import home

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def mlflow_database() -> Path:
    """The sqlite file that runs are recorded in, with a server of ours and without one."""
    return home() / "mlflow.db"


def tracking_uri() -> str:
    """MLflow's address: `MLFLOW_TRACKING_URI` when set, else our own sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{mlflow_database()}"


def without_password(text: str, uri: str) -> str:
    """*text* as it may be shown: free of the user and password that *uri* may hold."""
    user, at, _ = urlsplit(uri).netloc.rpartition("@")
    return text.replace(user + at, "") if at else text


def is_local(uri: str) -> bool:
    """Whether *uri* leads to this machine."""
    return urlsplit(uri).hostname in LOOPBACK
