"""Which servers of `make services` are up: written down under `home()` while they are."""

import json
import os
from pathlib import Path

from regatta.settings.home import home


def services_file() -> Path:
    """Where the addresses stand."""
    return home() / "services.json"


def running_services() -> dict[str, str]:
    """Environment that leads to the servers that are up (PREFECT_API_URL …); empty when there are none."""
    try:
        content = json.loads(services_file().read_text(encoding="utf-8"))
        os.kill(content["pid"], 0)
    except (OSError, ValueError, KeyError):
        return {}
    return content["env"]


def write_services(env: dict[str, str]) -> None:
    """Say that this process has these servers up."""
    partial = services_file().with_name(f".services.json.partial-{os.getpid()}")
    partial.write_text(json.dumps({"pid": os.getpid(), "env": env}, indent=2), encoding="utf-8")
    partial.replace(services_file())
