"""The fixed cost of a train stage: `python -m benchmarks.fixed_costs`.

`python -m tasks.train R` with `epochs: 0`, from command to exit, against a fresh Python's
`import ray.train.torch`: one worker in the stage's own process, and two on a Ray that is up. Then the
same again with marks (`sitecustomize.py`), which say where each second goes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.fixed_costs import sitecustomize
from benchmarks.fixed_costs.breakdown import ONE_WORKER, TWO_WORKERS, Part, seconds
from benchmarks.measuring import PAIRS, Goal, Sample, in_turn, write
from benchmarks.project import copy_project
from flows.processes.leashes import Leashes
from flows.serving.ports import Ports, free_port
from flows.serving.servers import ray_server
from flows.stages.dvc_start import stage_env
from regatta.local_ray import local_ray_environment

HEAD = f"""# The fixed cost of a train stage

Made by `python -m benchmarks.fixed_costs`. A stage with nothing to learn (`softmax` on `digits`,
`epochs: 0`), `python -m tasks.train R`, from command to exit, in turn with a fresh Python's
`import ray.train.torch`, {PAIRS} times each. Two workers: on a Ray of this machine that is up, as
`make services` starts it, and has had one run before. A fresh Python takes a second to end after that
import, which a stage does not; the goals are without a limit against the import alone. The parts are of runs
of their own, with marks, which cost some milliseconds; each part begins where the one before it ends."""
MEASURE = "train stage of 0 epochs"
IMPORT, ENDLESS = "import ray.train.torch", "import ray.train.torch, without Python's end"
ONE, TWO = "one worker", "two workers, Ray is up"
GOALS = (
    Goal(MEASURE, ONE, IMPORT, at_most=1.6),
    Goal(MEASURE, TWO, IMPORT, at_most=3.5),
    Goal(MEASURE, ONE, ENDLESS),
    Goal(MEASURE, TWO, ENDLESS),
)
COURSE = """
defaults: {epochs: 0, threads_per_worker: 1}
problems: [classification]
datasets: [digits]
runs:
  one: {problem: classification, dataset: digits, family: softmax, workers: 1}
  two: {problem: classification, dataset: digits, family: softmax, workers: 2}
"""
MARKED_RUNS = 3


def main() -> None:
    """Measure, print and write down."""
    with tempfile.TemporaryDirectory(prefix="regatta-fixed-") as parent:
        project = prepared(Path(parent) / "project")
        with ray_up(Path(parent) / "ray") as ray:
            stage_s(project, "two", ray)
            sides = {
                IMPORT: import_s,
                ENDLESS: partial(import_s, "import os; os._exit(0)"),
                ONE: partial(stage_s, project, "one", {}),
                TWO: partial(stage_s, project, "two", ray),
            }
            samples = in_turn(MEASURE, "s", sides)
            shutil.copy(sitecustomize.__file__, project)
            samples += parts_of(project, "one", {}, ONE_WORKER)
            samples += parts_of(project, "two", ray, TWO_WORKERS)
    write("fixed_costs", HEAD, samples, GOALS)


def prepared(project: Path) -> Path:
    """A copy of the project that has packed its data, and everything else before training."""
    copy_project(project)
    (project / "params.yaml").write_text(COURSE, encoding="utf-8")
    for step in (("check",), ("download", "digits"), ("preprocess", "digits")):
        _run(project, ["-m", f"tasks.{step[0]}", *step[1:]], {})
    return project


@contextmanager
def ray_up(folder: Path) -> Generator[Mapping[str, str], None, None]:
    """A Ray of this machine, as `make services` starts it; the environment that leads there."""
    ports, leashes = Ports(ray=free_port()), Leashes()
    env = local_ray_environment()
    service = ray_server(ports, folder)
    try:
        with (folder.parent / "ray.log").open("wb") as log:
            leashes.start(service.command, folder.parent, stage_env() | env, log)
        while not service.is_up():
            time.sleep(0.2)
        yield env | {"RAY_ADDRESS": f"127.0.0.1:{ports.ray}"}
    finally:
        leashes.end_all()


def import_s(then: str = "") -> float:
    """A fresh Python's import of what training on Ray Train cannot do without, from command to exit."""
    began_s = time.monotonic()
    script = f"import ray.train.torch; {then}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
    return time.monotonic() - began_s


def stage_s(project: Path, run: str, env: Mapping[str, str]) -> float:
    """`python -m tasks.train RUN`, as if it had never run."""
    for left in (".regatta/finished", ".regatta/runs", "trained", "journals"):
        shutil.rmtree(project / left, ignore_errors=True)
    return _run(project, ["-m", "tasks.train", run], env)


def parts_of(project: Path, run: str, env: Mapping[str, str], parts: Sequence[Part]) -> list[Sample]:
    """Where the seconds of the stage go."""
    samples: list[Sample] = []
    marks = project / "marks"
    for pair in range(MARKED_RUNS):
        shutil.rmtree(marks, ignore_errors=True)
        marks.mkdir()
        began_s = time.time()
        stage_s(project, run, {**env, "PYTHONPATH": str(project)})
        named = enumerate(seconds(parts, marks, began_s, time.time()), 1)
        samples += [Sample(f"{run}: where it goes", pair, f"{n}. {what}", s, "s") for n, (what, s) in named]
    return samples


def _run(project: Path, command: Sequence[str], env: Mapping[str, str]) -> float:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "REGATTA_", "PYTHONPATH"))}
    began_s = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=project, env={**inherited, **env}, check=True)
    return time.monotonic() - began_s


if __name__ == "__main__":
    main()
