"""`python -m benchmarks.gpu` on the CPU, small: that it runs is known before there is a card."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import cifar, dense, plain
from benchmarks.gpu.project import lay_out
from benchmarks.measuring import page
from regatta.packed.schema import Packed
from regatta.settings.recipe import Augment, Recipe
from tasks import download, evaluate, preprocess, train

CPU = torch.device("cpu")
STAGES: dict[str, tuple[Callable[[list[str]], None], ...]] = {
    "preprocess@scenes": (download.main, preprocess.main),
    "evaluate@speed": (train.main, evaluate.main),
    "preprocess@cifar-10": (),  # which this test packs itself
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The benchmark's project, small, whose stages run in this process."""
    monkeypatch.delenv("REGATTA_HOME", raising=False)
    project = lay_out(tmp_path / "project", None, side_px=64, scenes=6)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["defaults"] |= {"threads_per_worker": 1}
    params["runs"]["speed"] |= {"epochs": 1, "warmup_epochs": 0, "batch_size": 20}
    params["runs"]["dense"] |= {"options": {"depth": 3}, "batch_size": 2}
    (project / "params.yaml").write_text(yaml.safe_dump(params))

    def run_stage(project: Path, stage: str) -> None:
        with monkeypatch.context() as here:
            here.chdir(project)
            for step in STAGES[stage]:
                step([stage.partition("@")[2]])

    for side in (cifar, dense):
        monkeypatch.setattr(side, "run_stage", run_stage)
    return project


def test_without_a_card_it_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: no CUDA device here")


def test_dense_steps_are_compared(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regatta.profiling.limits.PEAK_S", 0.01)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    samples = dense.measured(project, 1, 2, CPU)
    speeds = {sample.side: sample.value for sample in samples if sample.measure == dense.SPEED}
    assert speeds.keys() == {dense.OURS, dense.REFERENCE, dense.IN_MEMORY}
    assert all(value > 0 for value in speeds.values())
    assert all(goal.measure in page(samples, dense.GOALS) for goal in dense.GOALS)


def test_the_course_and_the_plain_run_are_scored(
    project: Path, packed_pictures: Callable[..., Packed]
) -> None:
    packed = packed_pictures(problem="classification", classes=10)
    shutil.copytree(packed.path, project / "data/packed/cifar-10")
    samples = cifar.measured(project, 1, "cpu")
    scores = {sample.side: sample.value for sample in samples if sample.measure == cifar.SCORE}
    told = json.loads((project / "results/classification/speed/scores.json").read_text())
    assert scores["course"] == told["top1"]
    assert 0 <= scores["plain speed-run"] <= 1
    assert yaml.safe_load((project / "params.yaml").read_text())["defaults"]["seed"] == 1
    assert all(goal.measure in page(samples, cifar.GOALS) for goal in cifar.GOALS)


def test_the_plain_run_learns(packed_pictures: Callable[..., Packed]) -> None:
    split = packed_pictures(problem="classification").split("train")
    images_NCHW = torch.from_numpy(split.images.copy()).permute(0, 3, 1, 2) / 255 - 0.5
    classes_N = torch.from_numpy(split.targets.copy())
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
    )  # fmt: skip
    recipe = Recipe(epochs=60, batch_size=8, lr=0.1, augment=Augment(flip=True, shift_px=1))
    plain.learn(network, images_NCHW, classes_N, recipe)
    assert plain.accuracy(network, images_NCHW, classes_N, 8) > 0.9


def test_windows_are_whole_and_half_of_them_mirrored() -> None:
    torch.manual_seed(0)
    image_CHW = torch.arange(6 * 7.0).reshape(1, 6, 7)
    windows = plain.augmented(image_CHW.expand(64, 1, 6, 7), 4, 5)
    assert windows.shape == (64, 1, 4, 5)
    steps = windows.diff(dim=-1)
    assert (windows.diff(dim=-2) == 7).all() and (steps.abs() == 1).all()
    assert 16 < (steps[:, 0, 0, 0] < 0).sum() < 48
