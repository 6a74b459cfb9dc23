"""Both drivers on a cold cache, and with nothing to do: `python -m benchmarks.drivers`."""

import resource
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measuring import Goal, Sample, in_turn, write
from benchmarks.project import copy_project, reproduce

PAIRS, IDLE_TIMES = 5, 5
COURSE = """
defaults: {seed: 1, epochs: 2, threads_per_worker: 1}
problems: [segmentation]
datasets: [scenes, other-scenes, digits]
runs:
"""
FAMILIES = {
    "fcn32s": "options: {width: 0.125}",
    "fcn16s": "options: {width: 0.125}",
    "fcn8s": "options: {width: 0.125}",
    "segnet": "options: {width: 0.125}",
    "unet": "options: {depth: 3}",
    "pspnet": "lr: 0.003",
    "fpn": "options: {encoder: tu-mobilenetv3_small_050}",
    "deeplabv3plus": "options: {depth: 3}",
}
HEAD = """# Both drivers

Made by `python -m benchmarks.drivers`. Eight families of segmentation on two data sets of 400 generated
scenes each, two epochs, one thread a run, and a third data set that is packed only: 42 stages, on a cold
cache, each time in a new copy of the project. `python -m flows.reproduce` works on two stages at a time.
Then `dvc repro` again where it had just run, with nothing to do, five times."""
COLD, IDLE = "cold course", "nothing to do, 42 stages"
SERIAL, PARALLEL, LIMIT = "dvc repro", "flows.reproduce", "the goal, 2.5 s"
GOALS = (Goal(COLD, SERIAL, PARALLEL, at_least=1.7), Goal(f"{IDLE}: CPU", SERIAL, LIMIT, at_most=1.0))
DVC = str(Path(sys.executable).parent / "dvc")


def main() -> None:
    """Measure, print and write down."""
    with tempfile.TemporaryDirectory(prefix="regatta-drivers-") as parent:
        projects: list[Path] = []

        def cold(*command: str) -> float:
            projects.append(prepared(Path(parent) / f"project-{len(projects)}"))
            return reproduce(projects[-1], *command)

        samples = in_turn(COLD, "s", {PARALLEL: cold, SERIAL: partial(cold, DVC, "repro")}, PAIRS)
        samples += idle(projects[-1])
    write("drivers", HEAD, samples, GOALS)


def idle(project: Path) -> list[Sample]:
    """What `dvc repro` costs where all is up to date."""
    samples: list[Sample] = []
    for time in range(IDLE_TIMES):
        before_s = _children_cpu_s()
        wall_s = reproduce(project, DVC, "repro")
        cpu_s = _children_cpu_s() - before_s
        samples += [
            Sample(IDLE, time, SERIAL, wall_s, "s"),
            Sample(f"{IDLE}: CPU", time, SERIAL, cpu_s, "s"),
            Sample(f"{IDLE}: CPU", time, LIMIT, 2.5, "s"),
        ]
    return samples


def prepared(project: Path) -> Path:
    """A copy of the project with the course of this benchmark."""
    copy_project(project)
    card = (project / "datasets/scenes.yaml").read_text(encoding="utf-8")
    (project / "datasets/other-scenes.yaml").write_text(card.replace("seed: 1", "seed: 2"), encoding="utf-8")
    (project / "params.yaml").write_text(course(), encoding="utf-8")
    return project


def course() -> str:
    """params.yaml: every family on both data sets."""
    return COURSE + "".join(
        f"  {family}-{data}: {{problem: segmentation, dataset: {data}, family: {family}, {settings}}}\n"
        for family, settings in FAMILIES.items()
        for data in ("scenes", "other-scenes")
    )


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
