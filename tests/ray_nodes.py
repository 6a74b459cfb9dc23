"""A Ray of several nodes on this machine, for tests of what a lost node does.

The nodes belong to a process of their own, that is told what to do over its stdin: `ray start` would
join a second node by the machine's address only, and here all stay on the loopback one.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from regatta.settings.home import local_ray_environment

NODES = """
import sys
from ray.cluster_utils import Cluster
nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
print(nodes.address, flush=True)
raylets = []
for line in sys.stdin:
    if line.strip() == "add":
        node = nodes.add_node(num_cpus=1, include_dashboard=False)
        raylets.append(node.all_processes["raylet"][0].process)
    else:
        raylet = raylets.pop()
        raylet.kill()  # SIGKILL
        raylet.wait()  # A zombie would pass for living.
    print("done", flush=True)
nodes.shutdown()
"""


class Nodes:
    """A head without room for workers, and nodes with room for one each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()

    def add(self) -> None:
        """One more node."""
        self._tell("add")

    def kill(self) -> None:
        """SIGKILL the raylet of the node that came last; all that it started goes with it."""
        self._tell("kill")

    def _tell(self, what: str) -> None:
        assert self._process.stdin
        print(what, file=self._process.stdin, flush=True)
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextmanager
def ray_nodes(**environment: str) -> Generator[Nodes]:
    """Nodes on 127.0.0.1; all end with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", NODES],
        env=dict(os.environ) | local_ray_environment() | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Nodes(process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(60)
