"""Commands of `make services` that end by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.processes.leashes import Leashes
from flows.serving.servers import module_command
from regatta.errors import RegattaError
from regatta.settings.home import home


@dataclass(frozen=True)
class Errand:
    """A command, and what is wrong when it fails."""

    name: str
    command: tuple[str, ...]
    complaint: str


REGISTER = Errand(
    "deploy",
    (*module_command("prefect"), "--no-prompt", "deploy", "--all"),
    "prefect.yaml could not be registered",
)
END_DEAD_RUNS = Errand(
    "dead-runs",
    module_command("flows.walking.dead_runs"),
    "flow runs whose process is gone could not be ended",
)


def do(errand: Errand, env: Mapping[str, str], leashes: Leashes) -> None:
    """Run it to its end.

    Raises:
        RegattaError: it failed.
    """
    with log_of(errand.name).open("wb") as log:
        process = leashes.start(errand.command, Path.cwd(), env, log)
    code = process.wait()
    leashes.end(process)
    if code != 0:
        raise RegattaError(f"{log_of(errand.name)}: {errand.complaint}; the last lines say why")


def log_of(name: str) -> Path:
    """Where the output of a service or an errand goes."""
    return home() / "logs" / f"{name}.log"
