"""A Ray of two nodes on this machine, for trials that kill the second one's raylet: a third takes its place.

The head has no room for workers, so that all of them are on the node that is killed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.processes import MARK, Watch
from flows.embedded import free_port

ENVIRONMENT = """
import json
from regatta.settings.home import local_ray_environment
print(json.dumps(local_ray_environment()))
"""
WORKERS = 2


@dataclass(frozen=True)
class Nodes:
    """A Ray that is up."""

    project: Path
    env: Mapping[str, str]
    """For the nodes, and with `RAY_ADDRESS` for who is to use them."""
    folder: Path
    watch: Watch
    heads: list[subprocess.Popen[bytes]]
    """Of each node, the process that stays in the foreground."""

    def add_node(self) -> None:
        """One more node with room for the workers."""
        # `ray start` asks for this before it joins a node to another.
        allowed = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
        self.start("--address", self.env["RAY_ADDRESS"], "--num-cpus", str(WORKERS), **allowed)

    def start(self, *how: str, **env: str) -> None:
        """`ray start` in the foreground of a process of its own, on the loopback address."""
        command = (
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
            *("--node-ip-address", "127.0.0.1", "--dashboard-agent-listen-port", str(free_port())),
        )
        with (self.project.parent / "nodes.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *how],
                cwd=self.project,
                env={**self.env, **env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.heads.append(process)


@contextmanager
def two_nodes(project: Path, env: Mapping[str, str], mark: str) -> Generator[Nodes]:
    """A head and a node, ended with the block."""
    said = subprocess.run(
        [sys.executable, "-c", ENVIRONMENT], cwd=project, env=env, capture_output=True, text=True, check=True
    )
    port = free_port()
    own: dict[str, str] = {**env, **json.loads(said.stdout), MARK: mark, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short, for Ray's sockets lie in it
    with Watch(mark) as watch:
        nodes = Nodes(project, own, folder, watch, [])
        nodes.start(
            *("--head", "--port", str(port), "--num-cpus", "0"),
            *("--include-dashboard", "false", "--temp-dir", str(folder)),
        )
        nodes.add_node()
        yield nodes
    for head in nodes.heads:  # killed by the watch
        head.wait()
    shutil.rmtree(folder, ignore_errors=True)
