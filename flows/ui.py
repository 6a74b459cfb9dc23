"""`python -m flows.ui`: MLflow's pages over what was recorded here, until Ctrl-C."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from flows.processes.leashes import Leashes
from flows.serving.ports import Ports, check_free, port_number
from flows.serving.servers import mlflow_server, services_env
from regatta.blank_databases import begin_with_blank
from regatta.errors import RegattaError, one_line_errors
from regatta.settings.addresses import mlflow_database
from regatta.settings.home import home


def main(argv: Sequence[str] | None = None) -> None:
    """Command line. Exit code 0 after Ctrl-C, 2 when the port is taken or the server ends by itself."""
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description=__doc__)
    parser.add_argument(
        "--mlflow-port", type=port_number, default=Ports.mlflow, metavar="PORT", help="(5000)"
    )
    port = parser.parse_args(argv).mlflow_port
    with one_line_errors():
        check_free("mlflow", port)
        try:
            show(Ports(mlflow=port))
        except KeyboardInterrupt:
            print("ended", flush=True)


def show(ports: Ports) -> None:
    """Serve until interrupted.

    Raises:
        RegattaError: the server ended by itself.
    """
    (home() / "logs").mkdir(parents=True, exist_ok=True)
    begin_with_blank("mlflow", mlflow_database())
    log, server, leashes = home() / "logs" / "ui.log", mlflow_server(ports), Leashes()
    try:
        with log.open("wb") as output:
            process = leashes.start(server.command, Path.cwd(), services_env(ports), output)
        while process.poll() is None and not server.is_up():
            time.sleep(0.2)
        if process.poll() is None:
            print(_addresses(f"http://127.0.0.1:{ports.mlflow}"), flush=True)
            process.wait()
        raise RegattaError(f"{log}: MLflow has ended by itself; its last lines say why")
    finally:
        leashes.end_all()


def _addresses(pages: str) -> str:
    """MLflow's pages, and where each problem's runs are compared."""
    lines = [f"MLflow  {pages}"]
    for path in sorted((home() / "links").glob("*.json")):
        place = json.loads(path.read_text(encoding="utf-8"))["experiment_url"]
        lines.append(f"  {path.stem:16} {pages}/{place}")
    return "\n".join([*lines, "Ctrl-C ends it."])


if __name__ == "__main__":
    main()
