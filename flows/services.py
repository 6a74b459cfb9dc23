"""`python -m flows.services`: Prefect with a worker, MLflow's pages and a local Ray, until Ctrl-C.

All of them listen on 127.0.0.1 only and keep what they know under `home()`; their output goes to
`home()/logs`. One that dies is started again. Each is on a leash: however this process ends, they end, and
nothing of anybody else's does.
"""

import argparse
import signal
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.processes.kept import Kept
from flows.processes.leashes import Leashes
from flows.serving.embedded import database
from flows.serving.errands import END_DEAD_RUNS, REGISTER, do, log_of
from flows.serving.ports import Ports, check_free, port_number
from flows.serving.running import services_file, write_services
from flows.serving.servers import (
    WORKER,
    Service,
    mlflow_server,
    prefect_server,
    prefect_worker,
    ray_server,
    services_env,
)
from regatta.blank_databases import begin_with_blank
from regatta.errors import RegattaError, one_line_errors
from regatta.settings.addresses import mlflow_database
from regatta.settings.home import home

START_TIMEOUT_S = 180.0
LOOK_EVERY_S = 0.5


def main(argv: Sequence[str] | None = None) -> None:
    """Command line. Exit code 0 after Ctrl-C or SIGTERM, 2 when a server cannot be had."""
    ports = _ports(argv)
    with one_line_errors():
        # Also where Ctrl-C is ignored by inheritance, as for background jobs of a shell.
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            serve(ports)
        except KeyboardInterrupt:
            print("all ended", flush=True)


def serve(ports: Ports) -> None:
    """Start everything, say where it is, and wait.

    Raises:
        RegattaError: a port is taken, or a server does not start or ends again at once.
        KeyboardInterrupt: somebody asked to end; by then everything has ended.
    """
    for name, port in vars(ports).items():
        check_free(name, port)
    (home() / "logs").mkdir(parents=True, exist_ok=True)
    begin_with_blank("prefect", database())
    begin_with_blank("mlflow", mlflow_database())
    env = services_env(ports)
    leashes = Leashes()
    with tempfile.TemporaryDirectory(prefix="ray-") as ray_folder, _all_ended(leashes):
        # Prefect's server first: the worker and the deployments need it.
        first = prefect_server(ports)
        others = [prefect_worker(ports), mlflow_server(ports), ray_server(ports, Path(ray_folder))]
        running = [_start(first, env, leashes)]
        _await(first, running)
        do(END_DEAD_RUNS, env, leashes)
        running += [_start(service, env, leashes) for service in others]
        _await(others[0], running)
        do(REGISTER, env, leashes)
        for service in others[1:]:
            _await(service, running)
        write_services({"PREFECT_API_URL": env["PREFECT_API_URL"]})
        print(_addresses(ports), flush=True)
        _tend(first, running, env, leashes)


def _start(service: Service, env: Mapping[str, str], leashes: Leashes) -> Kept:
    return Kept(service.name, service.command, env, log_of(service.name), leashes)


def _await(service: Service, running: Iterable[Kept]) -> None:
    give_up_at_s = time.monotonic() + START_TIMEOUT_S
    while not service.is_up():
        for kept in running:
            kept.check()
        if time.monotonic() > give_up_at_s:
            raise RegattaError(
                f"{log_of(service.name)}: {service.name} does not answer; its last lines say why"
            )
        time.sleep(0.2)


def _tend(prefect: Service, running: Iterable[Kept], env: Mapping[str, str], leashes: Leashes) -> None:
    """Start again what dies, until somebody asks to end."""
    while True:
        for kept in running:
            if kept.has_ended:
                if kept.name == WORKER:
                    if not prefect.is_up():
                        continue  # It has died, too, and is to answer first.
                    # The flow runs that it had taken ended with it.
                    do(END_DEAD_RUNS, env, leashes)
                kept.start_again()
                print(f"{kept.name} had died: it is started again", flush=True)
        time.sleep(LOOK_EVERY_S)


@contextmanager
def _all_ended(leashes: Leashes) -> Generator[None]:
    try:
        yield
    finally:
        services_file().unlink(missing_ok=True)
        leashes.end_all()


def _addresses(ports: Ports) -> str:
    lines = [
        f"Prefect  http://127.0.0.1:{ports.prefect}",
        f"MLflow   http://127.0.0.1:{ports.mlflow}",
        f"Ray      127.0.0.1:{ports.ray}",
        "",
        "In another terminal, in this folder:",
    ]
    if ports.prefect != Ports.prefect:
        # prefect.toml leads there only for the usual port.
        lines.append(f"  export PREFECT_API_URL=http://127.0.0.1:{ports.prefect}/api")
    lines += ["  .venv/bin/prefect deployment run train-segmentation/local", "", "Ctrl-C ends all of them."]
    return "\n".join(lines)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _ports(argv: Sequence[str] | None) -> Ports:
    parser = argparse.ArgumentParser(prog="python -m flows.services", description=__doc__)
    for name, port in vars(Ports()).items():
        parser.add_argument(
            f"--{name}-port", dest=name, type=port_number, default=port, metavar="PORT", help=f"({port})"
        )
    return Ports(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
