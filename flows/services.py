"""`python -m flows.services`: Prefect with a worker, MLflow's pages and a local Ray, until Ctrl-C.

All of them listen on 127.0.0.1 only and keep what they know under `home()`; their output goes to
`home()/logs`. Each is on a leash: however this process ends, they end, and nothing of anybody else's does.
"""

import argparse
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.running import services_file, write_services
from flows.servers import (
    Ports,
    Service,
    mlflow_server,
    module_command,
    prefect_server,
    prefect_worker,
    ray_server,
    services_env,
)
from flows.stage import Leashes
from regatta.errors import RegattaError, one_line_errors
from regatta.settings.home import home

START_TIMEOUT_S = 180.0


def main(argv: Sequence[str] | None = None) -> None:
    """Command line. Exit code 0 after Ctrl-C or SIGTERM, 1 when a server ended by itself, 2 for bad input."""
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
        RegattaError: a port is taken, or a server does not start or ends.
        KeyboardInterrupt: somebody asked to end; by then everything has ended.
    """
    for name, port in vars(ports).items():
        check_free(name, port)
    (home() / "logs").mkdir(parents=True, exist_ok=True)
    env = services_env(ports)
    leashes = Leashes()
    with tempfile.TemporaryDirectory(prefix="ray-") as ray_folder, _all_ended(leashes):
        # Prefect's server first: the worker and the deployments need it.
        running = {"prefect": _start(prefect_server(ports), env, leashes)}
        _await(prefect_server(ports), running)
        others = [prefect_worker(ports), mlflow_server(ports), ray_server(ports, Path(ray_folder))]
        running |= {service.name: _start(service, env, leashes) for service in others}
        _await(others[0], running)
        _register(env, leashes)
        for service in others[1:]:
            _await(service, running)
        write_services({"PREFECT_API_URL": env["PREFECT_API_URL"]})
        print(_addresses(ports), flush=True)
        _wait(running)


def _start(service: Service, env: Mapping[str, str], leashes: Leashes) -> subprocess.Popen[bytes]:
    with _log(service.name).open("wb") as log:
        return leashes.start(service.command, Path.cwd(), env, log)


def _log(name: str) -> Path:
    return home() / "logs" / f"{name}.log"


def _await(service: Service, running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    give_up_at_s = time.monotonic() + START_TIMEOUT_S
    while not service.is_up():
        _check_alive(running)
        if time.monotonic() > give_up_at_s:
            raise RegattaError(
                f"{_log(service.name)}: {service.name} does not answer; its last lines say why"
            )
        time.sleep(0.2)


def _check_alive(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for name, process in running.items():
        if process.poll() is not None:
            raise RegattaError(f"{_log(name)}: {name} has ended by itself; its last lines say why")


def _wait(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    while True:
        _check_alive(running)
        time.sleep(0.5)


def _register(env: Mapping[str, str], leashes: Leashes) -> None:
    """Register the deployments of prefect.yaml."""
    with _log("deploy").open("wb") as log:
        command = (*module_command("prefect"), "--no-prompt", "deploy", "--all")
        process = leashes.start(command, Path.cwd(), env, log)
    code = process.wait()
    leashes.end(process)
    if code != 0:
        raise RegattaError(f"{_log('deploy')}: prefect.yaml could not be registered; the last lines say why")


@contextmanager
def _all_ended(leashes: Leashes) -> Generator[None]:
    try:
        yield
    finally:
        services_file().unlink(missing_ok=True)
        leashes.end_all(wait=True)


def check_free(name: str, port: int) -> None:
    """Raise RegattaError when something listens at *port* already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RegattaError(
                f"port {port} of 127.0.0.1 is taken: end what listens there, or choose another: --{name}-port"
            ) from None


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
            f"--{name}-port", dest=name, type=int, default=port, metavar="PORT", help=f"({port})"
        )
    return Ports(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
