"""What checkpoints cost: training with many against training with none, in turn; and each by itself.

    python -m benchmarks.checkpoints

One epoch of `unet` with a ResNet-34 (24 million parameters, momentum too) on `scenes`, by `python -m
tasks.train`, from the first step to the last. Checkpoints come more often than every 30 s, so that some
minutes hold enough of them; what one costs is held against 30 s.
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
from typing import Any

import yaml

from benchmarks.measuring import Goal, Sample, in_turn, write
from benchmarks.project import copy_project, reproduce

INTERVAL_S = 30.0
EVERY_S = {"checkpoints": 4.0, "none": 1e6}
STEPS = 240
"""Of two images each: some 25 s."""
NEAR = 20
"""Steps before a checkpoint, and after it, that it is held against."""
WHOLE, ONE, SHARE = f"training, {STEPS} steps", "each checkpoint by itself", "difference of whole trainings"
GOALS = [
    Goal(WHOLE, "checkpoints", "none"),
    Goal(ONE, "checkpoint", "interval", at_most=0.02),
    Goal(SHARE, "checkpoint", "interval", at_most=0.02),
]
HEAD = f"""\
# The cost of checkpoints

Made by `python -m benchmarks.checkpoints`: `unet` with a ResNet-34 (a checkpoint is 196 MB), {STEPS} steps
of two images, with a checkpoint every {EVERY_S["checkpoints"]:.0f} s and with none, in turn. What one costs
is then seen in two ways, each held against an interval of {INTERVAL_S:.0f} s: how much longer the {NEAR}
steps after each took than the {NEAR} before it; and how much longer the training that kept them took than
the one beside it that kept none, by the number that it kept. The first is the one to trust where a machine's
speed wavers from one minute to the next."""


@dataclass(frozen=True)
class Run:
    """One training, as its journal tells of it."""

    times_s: list[float]
    """When each step was done."""
    checkpoints: int
    kept: list[int]
    """Steps after which a checkpoint was written, and that have enough of others before and after them."""

    @property
    def train_s(self) -> float:
        return self.times_s[-1] - self.times_s[0]

    def checkpoint_s(self, step: int) -> float:
        """How much longer training took for the checkpoint after *step*."""
        before_s, at_s, after_s = (self.times_s[at] for at in (step - 1 - NEAR, step - 1, step - 1 + NEAR))
        return (after_s - at_s) - (at_s - before_s)


def main() -> None:
    """Measure, print and write down."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="regatta-checkpoints-") as parent:
        project = copy_project(Path(parent) / "project")
        _set_up(project)
        samples = in_turn(WHOLE, "s", {name: partial(_measured, project, name, runs) for name in EVERY_S})
    each_s = [run.checkpoint_s(step) for run in runs for step in run.kept]
    samples += [*_against_interval(ONE, each_s), *_against_interval(SHARE, _differences_s(runs))]
    write("checkpoints", HEAD, samples, GOALS)


def _differences_s(runs: list[Run]) -> list[float]:
    """Per checkpoint, of each training that kept some and the one beside it."""
    pairs = zip(runs[::2], runs[1::2], strict=True)
    return [(kept.train_s - none.train_s) / kept.checkpoints for kept, none in pairs]


def _against_interval(measure: str, costs_s: list[float]) -> list[Sample]:
    sides = {"checkpoint": costs_s, "interval": [INTERVAL_S] * len(costs_s)}
    return [
        Sample(measure, at, side, value, "s")
        for side, values in sides.items()
        for at, value in enumerate(values)
    ]


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
    kept = sorted(step for step in seen if step < STEPS)
    return Run(times_s, len(kept), [step for step in kept if NEAR < step < STEPS - NEAR])


if __name__ == "__main__":
    main()
