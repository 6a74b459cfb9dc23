"""What checkpoints cost: training with one every 30 s against training with none, in turn.

    python -m benchmarks.checkpoints

One epoch of `unet` with a ResNet-34 (24 million parameters, momentum too) on `scenes`, by `python -m
tasks.train`, from the first logged step to the last: a checkpoint falls into it, the epoch's end does not.
Written to benchmarks/checkpoints_[hardware]_[date].md, one row of the CSV beside it for each run.
"""

import csv
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import yaml

from benchmarks.trial import copy_project, hardware, reproduce

PAIRS = 5
EVERY_S = {"checkpoints": 30.0, "none": 1e6}
STEPS = 1700
"""Of two images each: somewhat more than 30 s, less than 60 s."""


def main() -> None:
    """Measure, print and write down."""
    with tempfile.TemporaryDirectory(prefix="regatta-checkpoints-") as parent:
        project = copy_project(Path(parent) / "project")
        _set_up(project)
        rows = [(pair, name, _trained(project, name)) for pair in range(PAIRS) for name in EVERY_S]
    path = Path("benchmarks") / f"checkpoints_{hardware()}_{datetime.date.today().isoformat()}"
    with path.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("pair", "run", "train_s"), *rows])
    path.with_suffix(".md").write_text(_described(rows))
    print(path.with_suffix(".md").read_text())


def _set_up(project: Path) -> None:
    run = {
        "problem": "segmentation",
        "dataset": "scenes",
        "family": "unet",
        "options": {"encoder": "resnet34"},
    }
    params = {
        "defaults": {"epochs": 1, "batch_size": 2, "threads_per_worker": 2, "log_every_steps": 20},
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


def _trained(project: Path, run: str) -> float:
    """Seconds from the first logged step to the last."""
    with tempfile.TemporaryDirectory(prefix="regatta-home-") as home:
        environment = dict(os.environ) | {"REGATTA_HOME": home}
        subprocess.run([sys.executable, "-m", "tasks.train", run], cwd=project, env=environment, check=True)
    journal = project / "journals/segmentation" / run / "journal.jsonl"
    points = [json.loads(line) for line in journal.read_text().splitlines()]
    times_s = [point["time_s"] for point in points if point["metric"] == "train/loss"]
    train_s = times_s[-1] - times_s[0]
    assert 30 < train_s < 60, f"{train_s:.0f} s: not one checkpoint in them; change STEPS for this machine"
    return train_s


def _described(rows: list[tuple[int, str, float]]) -> str:
    seconds = {name: [row[2] for row in rows if row[1] == name] for name in EVERY_S}
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    each = "\n".join(
        f"| {name} | {median(values):.2f} | {min(values):.2f} to {max(values):.2f} |"
        for name, values in seconds.items()
    )
    return (
        f"# The cost of checkpoints\n\n{datetime.date.today().isoformat()}, {hardware()}. Made by `python -m "
        f"benchmarks.checkpoints`: {PAIRS} pairs in turn, {STEPS} steps each.\n\n"
        f"| every 30 s, or none | training, s (median) | from … to |\n|---|--:|--:|\n{each}\n\n"
        f"Ratio of the medians: {median(seconds['checkpoints']) / median(seconds['none']):.4f}; "
        f"of the pairs: {min(ratios):.4f} to {max(ratios):.4f}.\n"
    )


if __name__ == "__main__":
    main()
