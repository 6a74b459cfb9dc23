"""Each side of benchmarks/loops takes two steps, so that what is measured there cannot rot unseen."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.loops import lightning, tutorial
from benchmarks.loops.asking import side
from benchmarks.loops.cases import CASES, PLAIN, RAY_STEPS, TWO_WORKERS, WORKERS_STEPS
from benchmarks.loops.data import Origin, lay_out
from benchmarks.loops.lesson import Lesson, lesson_of
from benchmarks.loops.loaders import loader_of
from benchmarks.loops.questions import Question
from benchmarks.loops.side import job_in
from regatta.settings.course import read_course

IMAGES = 100

# Lightning's own advice, and from Python 3.12 on a word about the DataLoader's forks.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("loops") / "project", Origin(images=IMAGES, pictures=4))


@pytest.fixture
def lesson(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Lesson]:
    monkeypatch.chdir(project)
    return lambda run: lesson_of(job_in(tmp_path, run))


def test_the_engines_side_is_the_engine_at_work(project: Path) -> None:
    with side(project, "lenet", PLAIN) as ours:  # What Ray Train adds to it is tested in test_cluster.py.
        loop = ours.answer(Question(2))
        step = ours.answer(Question(2, what="step"))
    assert loop.samples == 2 * 64  # Of 90, a tenth of them for validation: two epochs of one whole batch.
    assert 0 < loop.waited_s < loop.elapsed_s
    assert step.samples == 2 * 64
    journal = (project / f"sides/lenet {PLAIN}/journal.jsonl").read_text()
    assert '"metric": "train/loss"' in journal


@pytest.mark.parametrize("run", ["cnn", "lenet"])
def test_the_tutorials_side_learns_from_every_sample(run: str, lesson: Callable[[str], Lesson]) -> None:
    answer = tutorial.measured(lesson(run), Question(2, warm_up_steps=1))
    assert answer.samples == IMAGES - 64 + 64  # All files of the training split: none are for validation.
    assert answer.elapsed_s > 0


def test_lightnings_side_counts_what_comes_after_the_warm_up(
    lesson: Callable[[str], Lesson], tmp_path: Path
) -> None:
    answer = lightning.measured(lesson("cnn"), Question(2, warm_up_steps=1), tmp_path)
    assert answer.samples == IMAGES - 64 + 64
    assert answer.elapsed_s > 0


def test_pictures_come_with_their_label_maps(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    images, masks = next(iter(loader_of("camvid", 2)))
    assert images.shape == (2, 3, 180, 240)
    assert masks.shape == (2, 180, 240)
    assert masks.max() <= 11


def test_every_case_is_a_run(project: Path) -> None:
    runs = set(read_course(project / "params.yaml").runs)
    two_workers = {f"{run}-{workers}" for run in WORKERS_STEPS for workers in ("1", *TWO_WORKERS.values())}
    assert runs == {case.run for case in CASES} | two_workers
    assert set(RAY_STEPS) <= runs
