"""Where Regatta keeps what belongs to this machine and not to a result."""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit


def home() -> Path:
    """Absolute path of the folder for work in flight, servers' databases and links.

    `REGATTA_HOME` when set (an override workspace shares its parent's), else `.regatta` here.
    """
    return Path(os.environ.get("REGATTA_HOME", ".regatta")).absolute()


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


def local_ray_environment() -> dict[str, str]:
    """Environment of a Ray of our own: on the loopback address, for those who can read our secret.

    Ray 2.60 listens on the machine's address unless its clusters are turned off by a variable named
    for Windows and macOS, and asks for a token wherever one was ever made in the user's home.
    """
    token = home() / "ray-token"
    if not token.exists():
        token.parent.mkdir(parents=True, exist_ok=True)
        partial = token.with_name(f".{token.name}.partial-{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_hex(32), encoding="utf-8")
        partial.replace(token)
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
