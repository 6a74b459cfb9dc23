"""A Ray of two nodes on this machine, for trials that kill the raylet of the second: a third replaces it."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.processes import MARK, Watch

HOLDER = Path(__file__).parent / "hook/two_nodes.py"


@dataclass(frozen=True)
class Nodes:
    """A Ray that is up."""

    env: Mapping[str, str]
    """Leads there."""
    watch: Watch
    holder: subprocess.Popen[str]

    def add_node(self) -> None:
        """One more node with room for the workers."""
        assert self.holder.stdin
        self.holder.stdin.write("\n")
        self.holder.stdin.flush()


@contextmanager
def two_nodes(project: Path, env: Mapping[str, str], mark: str) -> Generator[Nodes]:
    """A head and a node, ended with the block."""
    with (
        (project.parent / "nodes.log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, str(HOLDER)],
            cwd=project,
            env={**env, MARK: mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        ) as holder,
        Watch(mark) as watch,
    ):
        assert holder.stdout
        yield Nodes(json.loads(holder.stdout.readline()), watch, holder)
