"""The ports of `make services`, and what it wrote down about itself."""

import sys
from collections.abc import Iterator

import psutil

from flows.serving.ports import Ports, check_free
from flows.serving.running import running_services, services_file
from regatta.errors import RegattaError
from regatta.findings import Finding, examine, fine, note


def services() -> Iterator[Finding]:
    """Reading is safe with a stale file, too; it only misleads people."""
    if not services_file().exists():
        yield fine("make services is not up")
    elif running_services():
        yield fine("make services is up")
    else:
        yield note(
            f"{services_file()} tells of services that are gone",
            f"rm {services_file()}",
            lambda: services_file().unlink(missing_ok=True),
        )


def ports() -> Iterator[Finding]:
    """A taken port is in the way of `make services` and `make ui` only."""
    for name, port in vars(Ports()).items():
        try:
            check_free(name, port)
        except RegattaError as taken:
            yield _holder(port, str(taken))
        else:
            yield fine(f"port {port} ({name}) is free")


def _holder(port: int, taken: str) -> Finding:
    process = _listener(port)
    if process and any(
        "flows.services" in _command(p) or "flows.ui" in _command(p) for p in process.parents()
    ):
        return fine(f"port {port} is held by our own services")
    by = f"by process {process.pid} ({_command(process)[:60]})" if process else "by somebody else's process"
    what, _, remedy = taken.partition(": ")
    return note(f"{what} {by}", f"{remedy} with 'python -m flows.services'")


def _listener(port: int) -> psutil.Process | None:
    """The process that listens at *port*, as far as the system lets us see it."""
    try:
        for link in psutil.net_connections("tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr[1:] == (port,) and link.pid:
                return psutil.Process(link.pid)
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return None


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return ""


CHECKS = (services, ports)

if __name__ == "__main__":
    examine(CHECKS, fix="--fix" in sys.argv)
