"""Speed, guarded by what can be counted. Nothing here is timed, so that a busy machine fails nothing.

RECORDED holds what was counted when it was last looked at; up to 1.5 times as much is let through. Whoever
makes something cheaper records the new count.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from regatta.engine.feed import Feed
from regatta.engine.training import train
from regatta.engine.world import World
from regatta.packed.schema import Packed
from regatta.settings.recipe import Augment, Recipe
from tests.conftest import ROOT
from tests.small_course import lay_out_small_course
from tests.test_training import job_of, network_of, quiet
from tests.toy import toy_env

SLACK = 1.5
RECORDED = {
    "batches of an epoch": 5 + 2,  # 40 samples to learn from and 13 to validate, by 8
    "bytes of an epoch": (40 + 13) * (12 * 16 * 3 + 8),
    "allocations of a step of classification": 168,
    "bytes allocated by a step of classification": 623_000,
    "allocations of a step of segmentation": 204,
    "bytes allocated by a step of segmentation": 796_000,
    "host synchronisations of a logging interval": 1,
    "minor faults of a step": 20,
    "Python processes of a course": 9,
    "programs started in a course": 14,
    "programs started with nothing to do": 1,  # a fork, that would load what steps import
}
MODULES = {
    "tasks.check": 262,
    "tasks.build": 1340,
    "tasks.download": 556,
    "tasks.preprocess": 443,
    "tasks.train": 1425,
    "tasks.evaluate": 1604,
    "tasks.report": 472,
    "tasks.track": 2257,
}
"""Of each stage when it ends."""
LARGE = {
    *("dvc", "matplotlib", "mlflow", "pandas", "prefect", "ray", "scipy", "segmentation_models_pytorch"),
    *("sklearn", "timm", "torch", "torchmetrics", "torchvision"),
}
"""Libraries whose import is felt."""
LOADS: dict[str, set[str]] = {
    "tasks.check": set(),
    "tasks.build": {"torch"},
    "tasks.download": set(),
    "tasks.preprocess": set(),
    "tasks.train": {"torch"},
    "tasks.evaluate": {"torch", "matplotlib"},
    "tasks.report": set(),
    "tasks.track": {"mlflow", "pandas", "scipy"},
}
"""Those that a stage may import."""
INTERVAL = 5
"""Steps from one reading of the losses to the next."""
PLAIN = Recipe(epochs=2, batch_size=8, lr=0.05, log_every_steps=INTERVAL)
AUGMENTED = PLAIN.model_copy(update={"augment": Augment(flip=True, shift_px=1, colour=0.1)})


def check(what: str, counted: float) -> None:
    """Hold *counted* against the budget of *what*."""
    budget = SLACK * RECORDED[what]
    assert counted <= budget, f"{what}: {counted:g}, and {RECORDED[what]:g} when it was recorded"


@pytest.fixture
def packed(packed_pictures: Callable[..., Packed]) -> Packed:
    return packed_pictures(problem="classification")


def trained(packed: Packed, folder: Path, recipe: Recipe = PLAIN, world: World | None = None) -> None:
    train(job_of(packed, folder, recipe), network_of(packed), world or World(), quiet)


def between(first: int, last: int, begin: Callable[[], Any], end: Callable[[], Any]) -> World:
    """A world in which *begin* is called after so many steps of training, and *end* after more of them."""
    steps = count(1)

    def beat() -> None:
        step = next(steps)
        if step == first:
            begin()
        elif step == last:
            end()

    return World(beat=beat)


def test_data_is_read_once_an_epoch(packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    gather_all = Feed.gather_all

    def counted(feed: Feed, shares: Any) -> Any:
        found = gather_all(feed, shares)
        batches.extend(batch.images.nbytes + batch.targets.nbytes for batch in found)
        return found

    monkeypatch.setattr(Feed, "gather_all", counted)
    trained(packed, tmp_path / "run")
    assert len(batches) >= PLAIN.epochs * len(packed.split("train")) // PLAIN.batch_size
    check("batches of an epoch", len(batches) / PLAIN.epochs)
    check("bytes of an epoch", sum(batches) / PLAIN.epochs)


@pytest.mark.parametrize("problem", ["classification", "segmentation"])
def test_a_steady_step_allocates_little(
    problem: str, packed_pictures: Callable[..., Packed], tmp_path: Path
) -> None:
    packed = packed_pictures(problem=problem, train=8 * 2 * INTERVAL)
    recorder = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    trained(packed, tmp_path / "run", AUGMENTED, between(2, 2 + INTERVAL, recorder.start, recorder.stop))
    assert recorder.profiler is not None and recorder.profiler.kineto_results is not None
    events = recorder.profiler.kineto_results.events()
    taken = [event.nbytes() for event in events if event.name() == "[memory]" and event.nbytes() > 0]
    check(f"allocations of a step of {problem}", len(taken) / INTERVAL)
    check(f"bytes allocated by a step of {problem}", sum(taken) / INTERVAL)


class Reads(TorchDispatchMode):
    """Counts operators after which the host waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name() in ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal"):
            self.found.append(func.name())
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("problem", ["classification", "segmentation"])
def test_the_host_reads_once_a_logging_interval(
    problem: str, packed_pictures: Callable[..., Packed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = packed_pictures(problem=problem, train=8 * 3 * INTERVAL)
    reads = Reads()
    for name in ("tolist", "numpy", "cpu"):
        monkeypatch.setattr(Tensor, name, reading(name, reads))
    two_intervals = (1, 1 + 2 * INTERVAL)
    world = between(*two_intervals, reads.__enter__, lambda: reads.__exit__(None, None, None))
    trained(packed, tmp_path / "run", AUGMENTED, world)
    check("host synchronisations of a logging interval", len(reads.found) / 2)


def reading(name: str, reads: Reads) -> Callable[..., Any]:
    """A method of Tensor that is counted while *reads* is on."""
    method = getattr(Tensor, name)

    def counted(tensor: Tensor, *arguments: Any) -> Any:
        if reads in _get_current_dispatch_mode_stack():
            reads.found.append(name)
        return method(tensor, *arguments)

    return counted


def test_freed_memory_is_kept(packed_pictures: Callable[..., Packed], tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=512)
    command = [sys.executable, "-m", "tests.counting.faults", str(packed.path), str(tmp_path)]
    # glibc moves this threshold as it goes, and whether a step's maps stay below it is then chance.
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    given, kept = map(float, done.stdout.split())
    check("minor faults of a step", kept)
    assert kept < given / 100


@dataclass(frozen=True)
class Told:
    """What a Python process of a course told of itself as it ended."""

    command: list[str]
    started: list[str]
    modules: list[str]
    minor_faults: int

    @property
    def name(self) -> str:
        """`tasks.train`, for one, or the program's file."""
        words = (word for word in self.command if word.startswith(("tasks.", "dvc")) or "/" in word)
        return Path(next(words)).name


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of one data set and one run, nothing of which is done."""
    return lay_out_small_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def first(course: Path) -> list[Told]:
    """Who took part when it was done."""
    # An unaltered DVC: every step is a Python of its own, that says what it imported by itself.
    return reproduced(course, course.parent / "first", "-m", "dvc")


def reproduced(course: Path, counts: Path, *dvc: str) -> list[Told]:
    """The Python processes of a `dvc repro`."""
    counts.mkdir()
    environment = toy_env(course, COUNT_INTO=str(counts), PYTHONPATH=str(ROOT / "tests/counting"))
    command = [sys.executable, *dvc, "repro"]
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [Told(**json.loads(file.read_text())) for file in counts.iterdir()]


def test_each_stage_is_one_process(first: list[Told]) -> None:
    stages = sorted(told.name for told in first if told.name.startswith("tasks."))
    assert stages == sorted(MODULES), "each stage, once"
    check("Python processes of a course", len(first))
    check("programs started in a course", sum(len(told.started) for told in first))


@pytest.mark.parametrize("stage", MODULES)
def test_a_stage_imports_what_it_needs(stage: str, first: list[Told]) -> None:
    (told,) = (told for told in first if told.name == stage)
    assert LARGE & set(told.modules) <= LOADS[stage]
    assert len(told.modules) <= SLACK * MODULES[stage], f"{len(told.modules)} modules"


def test_nothing_to_do_starts_nothing(course: Path, first: list[Told]) -> None:
    patient = "-P", str(ROOT / "flows/stages/patient_dvc.py")  # as the Makefile's `.venv/bin/dvc` runs it
    (dvc,) = reproduced(course, course.parent / "second", *patient)
    check("programs started with nothing to do", len(dvc.started))
    assert not LARGE & set(dvc.modules) - {"dvc"}
