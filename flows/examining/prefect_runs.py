"""Prefect: its server, its database, and flow runs that it calls running though their process is gone."""

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial

from flows.processes.leashes import Leashes
from flows.serving.embedded import answers, database, embedded_server
from flows.serving.running import running_services
from regatta.findings import Finding, examine, fault, fine
from regatta.settings.addresses import without_password
from regatta.settings.home import home


def silence() -> Iterator[Finding]:
    """Whether Prefect sends usage statistics when it is called by hand; prefect.toml says no."""
    from prefect.settings import get_current_settings

    if get_current_settings().server.analytics_enabled:
        yield fault("Prefect sends usage statistics", "set analytics_enabled = false in prefect.toml")
    else:
        yield fine("Prefect sends no usage statistics")


def flow_runs() -> Iterator[Finding]:
    """Flow runs that nobody runs any more; without a server, ours is started for a moment."""
    named = os.environ.get("PREFECT_API_URL")
    if named and not answers(f"{named}/health"):
        shown = without_password(named, named)
        yield fault(f"PREFECT_API_URL={shown}: no Prefect answers there", "make services, or unset it")
        return
    if not named and not running_services() and not database().exists():
        yield fine("no flow has run here yet")
        return
    with _server(named) as address:
        yield fine(f"Prefect's server answers ({without_password(address, address)})")
        yield from _dead_runs(address)


@contextmanager
def _server(named: str | None) -> Generator[str]:
    """The address of the server that is up, or of one of our own for the block."""
    address = named or running_services().get("PREFECT_API_URL")
    if address and answers(f"{address}/health"):
        yield address
        return
    with embedded_server(Leashes()) as server:
        yield server.ready()


def _dead_runs(address: str) -> Iterator[Finding]:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.walking.dead_runs import dead_runs, end

    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        dead = dead_runs(client)
        for run in dead:
            state = run.state.name if run.state else "unfinished"
            text = f"flow run '{run.name}' is {state}, but its process is gone"
            yield fault(text, "make doctor FIX=1", partial(end, client, run))
    if not dead:
        yield fine("no flow run of a process of this machine that is gone")


CHECKS = (silence, flow_runs)

if __name__ == "__main__":
    # Read when Prefect is imported: its own files are under `home()`.
    os.environ["PREFECT_HOME"] = str(home() / "prefect")
    examine(CHECKS, fix="--fix" in sys.argv)
