"""The whole course against the same engine as one script: `python -m benchmarks.course`."""

import json
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.course import script
from benchmarks.measuring import Goal, Sample, in_turn, write
from benchmarks.project import copy_project, reproduce

PAIRS = 5
TRAINING_S = 60
RUN = "unet-scenes"
COURSE = """
defaults: {seed: 1, epochs: EPOCHS, threads_per_worker: 1}
problems: [segmentation]
datasets: [scenes]
runs:
  unet-scenes: {problem: segmentation, dataset: scenes, family: unet, lr: 0.003, options: {depth: 3}}
"""
HEAD = """# The whole course of one family against one script

Made by `python -m benchmarks.course`. One run, `unet` (depth 3) on the generated `scenes`, {epochs} epochs:
as many as this machine trains in a minute, with one thread. Each time from nothing in a new copy of the
project. The script (`benchmarks/course/script.py`) calls the same functions in one process: paint, pack,
train, score. The course does so in eight stages, and caches, verifies, draws, measures costs, compares and
tracks. The goal: at most 3 % and 10 s more than the script."""
MEASURE = "one family, from nothing to scores"
SCRIPT, REPRO, FLOW = "script", "dvc repro", "flows.reproduce"
LESS = " less 10 s"
GOALS = [Goal(MEASURE, side + LESS, SCRIPT, at_most=1.03) for side in (REPRO, FLOW)]


def main() -> None:
    """Measure, print and write down."""
    python = Path(sys.executable)
    as_script = (str(python), "script.py", RUN)
    commands = {
        SCRIPT: as_script,
        REPRO: (str(python.parent / "dvc"), "repro"),
        FLOW: (str(python), "-m", "flows.reproduce"),
    }
    epochs = epochs_in(TRAINING_S, *as_script)
    sides = {side: partial(from_nothing_s, epochs, *command) for side, command in commands.items()}
    samples = in_turn(MEASURE, "s", sides, PAIRS)
    samples += [
        Sample(each.measure, each.pair, each.side + LESS, each.value - 10, each.unit)
        for each in samples
        if each.side != SCRIPT
    ]
    write("course", HEAD.format(epochs=epochs), samples, GOALS)


def epochs_in(training_s: float, *command: str) -> int:
    """As many as *command* trains in that time, by the one that it is let train."""
    with from_nothing(1) as project:
        reproduce(project, *command)
        return max(1, round(training_s / trained_s(project)))


def trained_s(project: Path) -> float:
    """Seconds that the one run in flight in *project* has trained."""
    (outcome,) = project.glob(".regatta/runs/*/outcome.json")
    return json.loads(outcome.read_text(encoding="utf-8"))["train_s"]


def from_nothing_s(epochs: int, *command: str) -> float:
    """Seconds of *command* in a new copy of the project."""
    with from_nothing(epochs) as project:
        return reproduce(project, *command)


@contextmanager
def from_nothing(epochs: int) -> Generator[Path]:
    """A new copy of the project, with this course for its params.yaml."""
    with tempfile.TemporaryDirectory(prefix="regatta-course-") as parent:
        project = copy_project(Path(parent) / "project")
        (project / "params.yaml").write_text(COURSE.replace("EPOCHS", str(epochs)), encoding="utf-8")
        shutil.copy(script.__file__, project)
        yield project


if __name__ == "__main__":
    main()
