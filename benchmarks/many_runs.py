"""What a run costs among many: `python -m benchmarks.many_runs`.

Tiny runs through `flows.reproduce` on a cold cache: 4, 16 and 64 of them. What a run costs must not grow
with their number.
"""

import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.measuring import Goal, Sample, write
from benchmarks.project import copy_project, reproduce

COUNTS = (4, 16, 64)
HEAD = """# Cost against the number of runs

Made by `python -m benchmarks.many_runs`. `softmax` on `digits`, one epoch, with seeds of their own: 4, 16 and
64 runs through `python -m flows.reproduce`, two stages at a time, on a cold cache in a copy of the project;
once each, for the largest takes minutes. Each run is two stages of its own. A course's own cost (Prefect's
start, checking, packing, the report, tracking) falls out of the difference between two counts, which is what
each further run costs."""
MEASURE = "each further run"
STEPS = {f"from {few} to {more} runs": (few, more) for few, more in pairwise(COUNTS)}
EARLY, LATE = STEPS
GOALS = [Goal(MEASURE, LATE, EARLY, at_most=1.1)]


def main() -> None:
    """Measure, print and write down."""
    walls_s = {count: course_s(count) for count in COUNTS}
    samples = [
        Sample("the whole course", 0, f"{count} runs", wall_s, "s") for count, wall_s in walls_s.items()
    ]
    samples += [
        Sample(MEASURE, 0, side, (walls_s[more] - walls_s[few]) / (more - few), "s")
        for side, (few, more) in STEPS.items()
    ]
    write("many_runs", HEAD, samples, GOALS)


def course_s(runs: int) -> float:
    """Seconds of *runs* runs and all that they need, from nothing."""
    with tempfile.TemporaryDirectory(prefix="regatta-many-") as parent:
        project = copy_project(Path(parent) / "project")
        (project / "params.yaml").write_text(course(runs), encoding="utf-8")
        return reproduce(project)


def course(runs: int) -> str:
    """params.yaml of so many tiny runs."""
    head = "defaults: {epochs: 1, threads_per_worker: 1}\nproblems: [classification]\ndatasets: [digits]\n"
    run = "  tiny-{0}: {{problem: classification, dataset: digits, family: softmax, seed: {0}}}\n"
    return head + "runs:\n" + "".join(run.format(number) for number in range(1, runs + 1))


if __name__ == "__main__":
    main()
