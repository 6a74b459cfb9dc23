"""The other end of a side: starts its process, asks, and ends it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.loops.questions import LOOK_EVERY_S, Answer, Question, answer_to, ask
from regatta.errors import RegattaError
from regatta.orphans import PARENT

ELSEWHERE = ("REGATTA_HOME", "PYTHONPATH", "RAY_ADDRESS")
"""Variables that would lead out of the project."""


@dataclass
class Asked:
    """A side that is up, or coming up."""

    process: subprocess.Popen[bytes]
    folder: Path
    number: int = field(default=0)

    def answer(self, question: Question) -> Answer:
        """What comes of *question*; others sleep meanwhile.

        Raises:
            RegattaError: the side's process ended.
        """
        ask(self.folder, self.number, question)
        while (answer := answer_to(self.folder, self.number)) is None:
            if self.process.poll() is not None:
                raise RegattaError(f"{self.folder.name}: ended; its last lines:\n{_last_lines(self.folder)}")
            time.sleep(LOOK_EVERY_S)
        self.number += 1
        return answer


@contextmanager
def side(project: Path, run: str, name: str) -> Generator[Asked, None, None]:
    """The side *name* of *run*, in a process that is ended with the block."""
    folder = project / "sides" / f"{run} {name}"
    if folder.exists():
        shutil.rmtree(folder)  # of a match before this one
    folder.mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
    with (folder / "lines").open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.loops.side", run, name, str(folder)],
            cwd=project,
            env=environment | {PARENT: str(os.getpid())},
            stdout=lines,
            stderr=subprocess.STDOUT,
        )
    asked = Asked(process, folder)
    try:
        yield asked
        ask(folder, asked.number, Question(steps=0))
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


def _last_lines(folder: Path) -> str:
    return "\n".join((folder / "lines").read_text(errors="replace").splitlines()[-20:])
