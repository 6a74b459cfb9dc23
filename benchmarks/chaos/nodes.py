"""A Ray of two nodes on this machine, for trials that kill the raylet of the second: a third replaces it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.processes import MARK, Watch
from benchmarks.ray_nodes import RayNodes, ray_nodes

WORKERS = 2


@dataclass(frozen=True)
class Nodes:
    """A Ray that is up."""

    ray: RayNodes
    watch: Watch

    def add_node(self) -> None:
        """One more node with room for the workers."""
        self.ray.add(WORKERS)


@contextmanager
def two_nodes(project: Path, env: Mapping[str, str], mark: str) -> Generator[Nodes]:
    """A head and a node, ended with the block."""
    with (
        (project.parent / "nodes.log").open("ab") as log,
        ray_nodes({**env, MARK: mark}, project, log) as ray,
        Watch(mark) as watch,
    ):
        nodes = Nodes(ray, watch)
        nodes.add_node()
        yield nodes
