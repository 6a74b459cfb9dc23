"""Whether Ray can be used, and what Rays of processes that are gone have left."""

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regatta.errors import RegattaError
from regatta.findings import Finding, fault, fine, looks_below, note, size_of
from regatta.settings.recipe import Recipe

CONNECT_TIMEOUT_S = 5.0
SESSION = re.compile(r"session_\d{4}-\d\d-\d\d_.*_(\d+)")
"""Ray names a session's folder after the time and the process that began it."""


def silence() -> Iterator[Finding]:
    from regatta.cluster.connection import RAY_TRAIN

    os.environ.update(RAY_TRAIN)
    from ray._common.usage.usage_lib import usage_stats_enabled

    if usage_stats_enabled():
        yield fault("Ray sends usage statistics", "export RAY_USAGE_STATS_ENABLED=0")
    else:
        yield fine("Ray sends no usage statistics")


def cluster() -> Iterator[Finding]:
    """The Ray at `RAY_ADDRESS` takes us in, as it would a run."""
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        yield fine("RAY_ADDRESS is not set: a run of several workers has a Ray of its own")
        return
    host, _, port = address.rpartition(":")
    if port.isdecimal() and not _listens(host.removeprefix("ray://"), int(port)):
        yield fault(f"RAY_ADDRESS={address}: nothing listens there", "make services, or unset RAY_ADDRESS")
        return
    from regatta.cluster.connection import connected_ray

    try:
        with connected_ray(Recipe(), None) as ray:
            yield from _nodes(address, ray)
    except (RegattaError, RuntimeError) as reason:
        yield fault(" ".join(str(reason).split()), "let RAY_ADDRESS lead to a Ray of this very version")


def _nodes(address: str, ray: Any) -> Iterator[Finding]:
    alive = [node for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    sizes = f"{total.get('CPU', 0):.0f} CPUs, {total.get('GPU', 0):.0f} GPUs"
    yield fine(f"Ray at {address}: {len(alive)} nodes, {sizes}")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def sessions() -> Iterator[Finding]:
    """Logs of Rays whose process is gone. They may be another project's: only told, never removed."""
    folder = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray"
    names = {path: SESSION.fullmatch(path.name) for path in sorted(folder.glob("session_2*"))}
    gone = [path for path, name in names.items() if name and not Path(f"/proc/{name[1]}").exists()]
    if gone and Path("/proc/self").exists():
        size = size_of(look for path in gone for look in looks_below(path))
        text = f"{folder}: {len(gone)} sessions of processes that are gone, {size}"
        yield note(text, f"rm -r {folder}/session_*, once no Ray of yours is up")
    else:
        yield fine("no session of a Ray that is gone")


CHECKS = (silence, cluster, sessions)
