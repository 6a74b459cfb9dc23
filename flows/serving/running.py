"""Which servers of `make services` are up: written down under `home()` while they are."""

import json
import os
from pathlib import Path

from flows.processes.alive import is_alive
from regatta.settings.home import home
from regatta.whole import whole_file


def services_file() -> Path:
    """Where the addresses stand."""
    return home() / "services.json"


def running_services() -> dict[str, str]:
    """Environment that leads to the servers that are up (PREFECT_API_URL …); empty when there are none."""
    try:
        written_s = services_file().stat().st_mtime
        content = json.loads(services_file().read_text(encoding="utf-8"))
        return content["env"] if is_alive(content["pid"], written_s) else {}
    except (OSError, ValueError, KeyError):
        return {}


def write_services(env: dict[str, str]) -> None:
    """Say that this process has these servers up."""
    with whole_file(services_file()) as file:
        file.write_text(json.dumps({"pid": os.getpid(), "env": env}, indent=2), encoding="utf-8")
