"""MLflow's address, and what of any address may be shown."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from regatta.settings.home import home


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
