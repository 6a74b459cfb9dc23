"""Run a course of its own in a copy of the project, and write down what came out.

    python -m benchmarks.trial benchmarks/tutorials
    python -m benchmarks.trial benchmarks/camvid --path ~/CamVid

FOLDER holds params.yaml and the cards of its own data sets, whose `path: PATH` is replaced by --path.
The table is written to FOLDER/[hardware]_[date].md. Scores are the test split's, by the weights that did
best on the validation split.
"""

import argparse
import datetime
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import hardware
from benchmarks.project import copy_project, reproduce
from regatta.settings.course import read_course


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial", description="Run a course")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--path", default="", help="folder of own data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regatta-trial-") as parent:
        project = copy_project(Path(parent) / "project")
        for file in options.folder.glob("*.yaml"):
            place = project if file.name == "params.yaml" else project / "datasets"
            path = str(Path(options.path).expanduser().absolute())
            (place / file.name).write_text(file.read_text().replace("path: PATH", f"path: {path}"))
        began_s = time.monotonic()
        reproduce(project)
        text = described(project, options.folder, time.monotonic() - began_s)
    target = options.folder / f"{hardware()}_{datetime.date.today().isoformat()}.md"
    target.write_text(text)
    print(text)


def described(project: Path, folder: Path, wall_s: float) -> str:
    """The trial's scores as a markdown table, with what is needed to make it again."""
    course = read_course(project / "params.yaml")
    rows: list[str] = []
    versions: dict[str, str] = {}
    for run in course.runs.values():
        results = project / "results" / run.problem / run.name
        told, scores = _json(results / "run.json"), _json(results / "scores.json")
        timings = _json(project / "journals" / run.problem / run.name / "timings.json")
        versions = timings["versions"]
        rows.append(
            f"| {run.name} | {run.family} | {run.dataset} | {told['settings']['seed']} | {told['epochs']} "
            f"| {scores[scores['primary']]:.4f} | {scores['loss']:.4f} | {_last(results, 'val/loss'):.4f} "
            f"| {timings['train_s']:.1f} | {timings['samples_per_s']:.0f} |"
        )
    head = (
        f"# {folder.name}\n\n{datetime.date.today().isoformat()}, {hardware()}, torch "
        f"{versions['torch']}; "
        f"{wall_s:.0f} s in all, two stages at a time. Made by `python -m benchmarks.trial {folder}`.\n\n"
        "| run | family | data set | seed | epochs | test score | test loss | last val loss | train s "
        "| samples/s |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    return head + "\n".join(rows) + "\n"


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def _last(results: Path, metric: str) -> float:
    lines = (results / "curves.csv").read_text().splitlines()
    return float(next(line for line in reversed(lines) if f",{metric}," in line).split(",")[3])


if __name__ == "__main__":
    main()
