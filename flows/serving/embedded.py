"""Prefect's server for one command: started, used and ended by it, its database under `home()`.

Nothing here imports Prefect: it reads its settings from the environment at the moment it is imported.
"""

import os
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from flows.processes.kept import Kept
from flows.processes.leashes import Leashes
from regatta.blank_databases import begin_with_blank
from regatta.errors import RegattaError
from regatta.settings.addresses import is_local, without_password
from regatta.settings.home import home

START_TIMEOUT_S = 120.0
"""The very first start may have to make the database, which takes several seconds on a quick machine."""

LOOK_EVERY_S = 0.5

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # Several write to one SQLite file.
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
}
"""Nothing is sent to anybody, nothing is advertised, and a busy disk is waited for."""

_LEAN = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    # A second of the first start, for what no flow here uses; the server of `make services` does it.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    # Lets the server skip what only a long-lived one needs.
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


def prefect_env() -> dict[str, str]:
    """This environment, with Prefect's own files under `home()` and nothing sent out."""
    return dict(os.environ) | QUIET | {"PREFECT_HOME": str(home() / "prefect")}


def database() -> Path:
    """Prefect's, which the first server to start here makes."""
    return home() / "prefect" / "prefect.db"


@contextmanager
def embedded_server(leashes: Leashes) -> Generator["Server"]:
    """Begin to start a server; `Server.ready()` waits for it. It ends with the block, or with us.

    Should it die before, another takes its place at the same socket, over the same database. The socket is
    ours from the start to the end: nobody else can take the port, and who asks in between only waits.
    """
    begin_with_blank("prefect", database())
    folder = database().parent
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        api_url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        command, env, log = _command(listener), prefect_env() | _LEAN, folder / "server.log"
        kept = Kept("Prefect's server", command, env, log, leashes, listener)
        over = threading.Event()
        tending = threading.Thread(target=_tend, args=(kept, listener, over), daemon=True)
        tending.start()
        try:
            yield Server(api_url, kept)
        finally:
            over.set()
            tending.join()
            kept.end()


def _tend(kept: Kept, listener: socket.socket, over: threading.Event) -> None:
    try:
        while not over.wait(LOOK_EVERY_S):
            if kept.has_ended:
                kept.start_again()
    except RegattaError:
        # Told of by those who wait for it: refused from now on, instead of waiting for nobody.
        listener.close()


def _command(listener: socket.socket) -> list[str]:
    return [sys.executable, "-m", "flows.serving.prefect_socket", str(listener.fileno())]


@dataclass(frozen=True)
class Server:
    """A server that is starting or up."""

    api_url: str
    kept: Kept

    def ready(self) -> str:
        """Wait until the server answers; its address.

        Raises:
            RegattaError: it ended, or took too long.
        """
        give_up_at_s = time.monotonic() + START_TIMEOUT_S
        while not answers(f"{self.api_url}/health"):
            self.kept.check()
            if time.monotonic() > give_up_at_s:
                raise RegattaError(
                    f"{self.kept.log}: Prefect's server does not answer; its last lines say why"
                )
            time.sleep(0.05)
        return self.api_url


def answers(address: str, timeout_s: float = 2.0) -> bool:
    """Whether a GET of *address* succeeds; asked without the password that it may hold."""
    # No proxy of the environment stands between us and this machine.
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_local(address) else []))
    try:
        with opener.open(without_password(address, address), timeout=timeout_s) as reply:
            return reply.status == 200
    except (OSError, HTTPException, ValueError):
        return False  # Somebody else may have taken the port, and speak otherwise; or it is no address.


def settings_for(api_url: str) -> Mapping[str, str]:
    """Environment for the flow's own process: this server, and no line on the terminal but ours."""
    return QUIET | {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_API_URL": api_url,
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
    }
