"""A Ray of several nodes on this machine, to see what a lost node does and what one that comes.

Its nodes belong to a process of their own, this file, which is told over its standard input what to do and
ends with it: `ray start` would join a second node by the machine's address only, and here all stay on the
loopback one. The head has no room for workers, so that all of them are on the other nodes.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from regatta.local_ray import local_ray_environment


@dataclass(frozen=True)
class RayNodes:
    """A Ray that is up, with its head alone at first."""

    env: Mapping[str, str]
    """Leads there."""
    holder: subprocess.Popen[str]

    def add(self, cpus: int) -> None:
        """One more node, with room for *cpus* workers; it comes when it comes."""
        self._tell(f"add {cpus}")

    def kill(self) -> None:
        """SIGKILL the raylet of the node that came last; all that it started goes with it."""
        self._tell("kill")

    def _tell(self, what: str) -> None:
        assert self.holder.stdin
        self.holder.stdin.write(what + "\n")
        self.holder.stdin.flush()
        assert _answer(self.holder) == "done"


@contextmanager
def ray_nodes(
    env: Mapping[str, str], folder: Path | None = None, log: IO[bytes] | None = None
) -> Generator[RayNodes]:
    """Nodes on 127.0.0.1 that are ended with the block; *folder* is the project that may reach them."""
    # The project's own modules go first.
    path = os.pathsep.join(filter(None, (env.get("PYTHONPATH"), str(Path(__file__).parent.parent))))
    with subprocess.Popen(
        [sys.executable, __file__],
        cwd=folder,
        env={**env, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    ) as holder:
        yield RayNodes(json.loads(_answer(holder)), holder)


def _answer(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout
    return holder.stdout.readline().strip()


def hold() -> None:
    """Hold the nodes for as long as standard input is open."""
    environment = local_ray_environment()
    os.environ.update(environment)  # Ray reads it when it is imported.
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    # A killed raylet must not stay a zombie of ours: its workers would take it for living.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print(json.dumps(environment | {"RAY_ADDRESS": cluster.address}), flush=True)
    raylets: list[subprocess.Popen[bytes]] = []
    for line in sys.stdin:
        if line.startswith("add"):
            node = cluster.add_node(wait=False, num_cpus=int(line.split()[1]))
            raylets.append(node.all_processes["raylet"][0].process)
        else:
            raylets.pop().kill()  # SIGKILL
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    hold()
