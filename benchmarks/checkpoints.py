"""What checkpoints cost: training with one every 30 s against training with none, in turn.

    python -m benchmarks.checkpoints

One epoch of `unet` with a ResNet-34 (24 million parameters, momentum too) on `scenes`, by `python -m
tasks.train`, from the first step to the last: a checkpoint falls into it, the epoch's end does not.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.measuring import Goal, Sample, in_turn, write
from benchmarks.trial import copy_project, reproduce

INTERVAL_S = 30.0
EVERY_S = {"checkpoints": INTERVAL_S, "none": 1e6}
STEPS = 330
"""Of two images each: somewhat more than 30 s."""
NEAR = 20
"""Steps before a checkpoint, and after it, that it is held against."""
WHOLE, ONE = f"training, {STEPS} steps", "a checkpoint against its interval"
GOALS = [Goal(WHOLE, "checkpoints", "none", at_most=1.02), Goal(ONE, "checkpoint", "interval", at_most=0.02)]
HEAD = f"""\
# The cost of checkpoints

Made by `python -m benchmarks.checkpoints`: `unet` with a ResNet-34 (a checkpoint is 196 MB), {STEPS} steps
of two images, with checkpoints every 30 s and with none, in turn. The second measure looks at each
checkpoint of these runs alone: how much longer the {NEAR} steps after it took than the {NEAR} before it,
against the 30 s between two. It is the one to trust where a machine's speed wavers by more than the goal
from one minute to the next."""


@dataclass(frozen=True)
class Run:
    """One training, as its journal tells of it."""

    times_s: list[float]
    """When each step was done."""
    kept: list[int]
    """Steps after which a checkpoint was written."""

    @property
    def train_s(self) -> float:
        return self.times_s[-1] - self.times_s[0]

    def checkpoint_s(self, step: int) -> float:
        """How much longer training took for the checkpoint after *step*."""
        took_s = [b - a for a, b in zip(self.times_s, self.times_s[1:], strict=False)]
        before_s, after_s = took_s[step - 1 - NEAR : step - 1], took_s[step - 1 : step - 1 + NEAR]
        return sum(after_s) - len(after_s) * median(before_s)


def main() -> None:
    """Measure, print and write down."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="regatta-checkpoints-") as parent:
        project = copy_project(Path(parent) / "project")
        _set_up(project)
        samples = in_turn(WHOLE, "s", {name: partial(_measured, project, name, runs) for name in EVERY_S})
    for number, cost_s in enumerate(run.checkpoint_s(step) for run in runs for step in run.kept):
        samples.append(Sample(ONE, number, "checkpoint", cost_s, "s"))
        samples.append(Sample(ONE, number, "interval", INTERVAL_S, "s"))
    write("checkpoints", HEAD, samples, GOALS)


def _set_up(project: Path) -> None:
    run: dict[str, Any] = {
        "problem": "segmentation",
        "dataset": "scenes",
        "family": "unet",
        "options": {"encoder": "resnet34"},
    }
    params = {
        "defaults": {"epochs": 1, "batch_size": 2, "threads_per_worker": 2, "log_every_steps": 1},
        "problems": ["segmentation"],
        "datasets": ["scenes"],
        "runs": {name: run | {"checkpoint_every_s": every_s} for name, every_s in EVERY_S.items()},
    }
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    card = project / "datasets/scenes.yaml"
    content = yaml.safe_load(card.read_text())
    content["scenes"]["train"] = 2 * STEPS
    card.write_text(yaml.safe_dump(content))
    reproduce(project, str(Path(sys.executable).parent / "dvc"), "repro", "preprocess@scenes")


def _measured(project: Path, name: str, runs: list[Run]) -> float:
    """Seconds of one training; it is added to *runs*."""
    run = _trained(project, name)
    if name == "checkpoints" and not run.kept:
        sys.exit(f"{run.train_s:.0f} s of training hold no checkpoint: raise STEPS for this machine")
    runs.append(run)
    return run.train_s


def _trained(project: Path, name: str) -> Run:
    seen: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="regatta-home-") as home:
        environment = dict(os.environ) | {"REGATTA_HOME": home, "REGATTA_PARENT": str(os.getpid())}
        command = [sys.executable, "-m", "tasks.train", name]
        with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                names = (path.name for path in Path(home).glob("runs/*/checkpoints/[0-9]*"))
                seen |= {int(name.partition("-")[0]) for name in names}
                time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    journal = project / "journals/segmentation" / name / "journal.jsonl"
    points = [json.loads(line) for line in journal.read_text().splitlines()]
    times_s = [point["time_s"] for point in points if point["metric"] == "train/loss"]
    return Run(times_s, sorted(step for step in seen if NEAR < step < STEPS - NEAR))


if __name__ == "__main__":
    main()
