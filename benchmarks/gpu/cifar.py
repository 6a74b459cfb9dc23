"""`cifar-10` to 94 %: the course from its packed data to its score, against a plain speed-run."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from benchmarks.gpu.project import run_stage
from benchmarks.measuring import Goal, Sample, in_turn

ASKED = 0.94
TIME, SCORE = "CIFAR-10, from the command to the score", "CIFAR-10, accuracy on the test split"
GOALS = (
    Goal(TIME, "course", "plain speed-run"),
    Goal(SCORE, "course", "asked", at_least=1.0),
    Goal(SCORE, "plain speed-run", "asked", at_least=1.0),
)


def measured(project: Path, pairs: int, device: str) -> list[Sample]:
    """Both sides in turn, each with another seed in every pair."""
    run_stage(project, "preprocess@cifar-10")
    scores: list[Sample] = []

    def side(name: str, run: Callable[[Path], float]) -> Callable[[], float]:
        def timed() -> float:
            pair = sum(sample.side == name for sample in scores)
            _set_seed(project, pair + 1)
            began_s = time.monotonic()
            scores.append(Sample(SCORE, pair, name, run(project), ""))
            return time.monotonic() - began_s

        return timed

    sides = {"course": course, "plain speed-run": partial(plain, device=device)}
    times = in_turn(TIME, "s", {name: side(name, run) for name, run in sides.items()}, pairs)
    return times + scores + [Sample(SCORE, pair, "asked", ASKED, "") for pair in range(pairs)]


def course(project: Path) -> float:
    """Accuracy of the course's run: trained, evaluated and drawn by `dvc repro`."""
    run_stage(project, "evaluate@speed")
    return float(json.loads((project / "results/classification/speed/scores.json").read_text())["top1"])


def plain(project: Path, device: str) -> float:
    """Accuracy of the plain speed-run, a process of its own as well."""
    command = [sys.executable, "-m", "benchmarks.gpu.plain", str(project), "--device", device]
    with tempfile.TemporaryFile("w+") as told:
        subprocess.run(command, stdout=told, check=True)
        told.seek(0)
        return float(told.read().split()[-1])


def _set_seed(project: Path, seed: int) -> None:
    """Another seed is another run, so that nothing of it is there already."""
    params = project / "params.yaml"
    content = yaml.safe_load(params.read_text())
    content["defaults"]["seed"] = seed
    params.write_text(yaml.safe_dump(content))
