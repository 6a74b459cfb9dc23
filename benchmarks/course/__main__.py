"""The whole course against the same engine as one script: `python -m benchmarks.course`."""

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.course import script
from benchmarks.measuring import Goal, Sample, in_turn, write
from benchmarks.trial import copy_project, reproduce

PAIRS = 2
"""Five would take a quarter of an hour."""
RUN = "unet-scenes"
COURSE = """
defaults: {seed: 1, epochs: EPOCHS, threads_per_worker: 1}
problems: [segmentation]
datasets: [scenes]
runs:
  unet-scenes: {problem: segmentation, dataset: scenes, family: unet, lr: 0.003, options: {depth: 3}}
"""
EPOCHS = 15
HEAD = f"""# The whole course of one family against one script

Made by `python -m benchmarks.course`. One run, `unet` (depth 3) on the generated `scenes`, {EPOCHS} epochs,
about a minute of training with one thread, each time from nothing in a new copy of the project. The script
(`benchmarks/course/script.py`) calls the same functions in one process: paint, pack, train, score. The course
does so in eight stages, and caches, verifies, draws, measures costs, compares and tracks. {PAIRS} times each,
for five would take a quarter of an hour. The goal: at most 3 % and 10 s more than the script."""
MEASURE = "one family, from nothing to scores"
SCRIPT, REPRO, FLOW = "script", "dvc repro", "flows.reproduce"
LESS = " less 10 s"
GOALS = [Goal(MEASURE, side + LESS, SCRIPT, at_most=1.03) for side in (REPRO, FLOW)]


def main() -> None:
    """Measure, print and write down."""
    python = Path(sys.executable)
    commands = {
        SCRIPT: (str(python), "script.py", RUN),
        REPRO: (str(python.parent / "dvc"), "repro"),
        FLOW: (str(python), "-m", "flows.reproduce"),
    }
    sides = {side: partial(from_nothing_s, COURSE, *command) for side, command in commands.items()}
    samples = in_turn(MEASURE, "s", sides, PAIRS)
    samples += [
        Sample(each.measure, each.pair, each.side + LESS, each.value - 10, each.unit)
        for each in samples
        if each.side != SCRIPT
    ]
    write("course", HEAD, samples, GOALS)


def from_nothing_s(course: str, *command: str) -> float:
    """Seconds of *command* in a new copy of the project, with *course* for its params.yaml."""
    with tempfile.TemporaryDirectory(prefix="regatta-course-") as parent:
        project = copy_project(Path(parent) / "project")
        (project / "params.yaml").write_text(course.replace("EPOCHS", str(EPOCHS)), encoding="utf-8")
        shutil.copy(script.__file__, project)
        return reproduce(project, *command)


if __name__ == "__main__":
    main()
