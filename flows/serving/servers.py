"""The servers of `make services`: how each is started, and how to see that it is up."""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.serving.embedded import QUIET, answers
from flows.serving.ports import Ports, free_port
from regatta.local_ray import local_ray_environment
from regatta.settings.addresses import mlflow_database
from regatta.settings.home import home

POOL = "local"
"""The work pool of prefect.yaml."""
WORKER = "worker"


@dataclass(frozen=True)
class Service:
    """One server: how it is started, and how to see that it is up."""

    name: str
    command: tuple[str, ...]
    is_up: Callable[[], bool]


def services_env(ports: Ports) -> dict[str, str]:
    """Environment of all services, and through the worker of every flow run."""
    root = Path.cwd()
    return (
        dict(os.environ)
        | QUIET
        | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
            "REGATTA_HOME": str(home()),
            "PREFECT_HOME": str(home() / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{ports.prefect}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
            "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "2",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports.mlflow}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Four more processes for scorers of language models, which nobody here has.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "RAY_ADDRESS": f"127.0.0.1:{ports.ray}",
        }
        | local_ray_environment()
    )


def prefect_server(ports: Ports) -> Service:
    """Prefect's API and pages."""
    command = (
        *module_command("prefect"),
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(ports.prefect),
    )
    return Service("prefect", command, lambda: answers(f"http://127.0.0.1:{ports.prefect}/api/health"))


def prefect_worker(ports: Ports) -> Service:
    """Runs flow runs as processes here; makes the work pool too."""
    pool = f"http://127.0.0.1:{ports.prefect}/api/work_pools/{POOL}"
    command = (*module_command("prefect"), "worker", "start", "--pool", POOL, "--type", "process")
    return Service(WORKER, command, lambda: answers(pool))


def mlflow_server(ports: Ports) -> Service:
    """MLflow's API and pages over the database that runs without a server write to as well."""
    # Artifacts lie where a run without a server puts them, so that runs of both kinds can be read both ways.
    artifacts = str(home() / "mlartifacts")
    store = f"sqlite:///{mlflow_database()}"
    command = (
        *(
            *module_command("mlflow"),
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(ports.mlflow),
            "--workers",
            "1",
        ),
        *("--backend-store-uri", store, "--default-artifact-root", artifacts),
        *("--artifacts-destination", artifacts),
    )
    return Service("mlflow", command, lambda: answers(f"http://127.0.0.1:{ports.mlflow}/health"))


def ray_server(ports: Ports, folder: Path) -> Service:
    """A Ray of one machine, whose files lie in *folder*."""
    # A folder of its own keeps `ray.init("auto")` of other projects from finding this one; its path is
    # short because Ray's sockets lie in it.
    command = (
        *(*module_command("ray.scripts.scripts"), "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", "127.0.0.1", "--port", str(ports.ray), "--temp-dir", str(folder)),
        *("--include-dashboard", "false"),
        *("--dashboard-agent-listen-port", str(free_port())),
    )
    return Service("ray", command, lambda: _listens(ports.ray))


def module_command(name: str) -> tuple[str, ...]:
    """`python -m NAME` with this very Python."""
    return (sys.executable, "-m", name)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
