"""A run's weights as an MLflow model: loads anywhere, without pickle, and predicts from images."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models import FAMILIES
from models.family import InputSpec
from models.weights import restore
from regatta.tracking.image_predictor import ImagePredictor
from tasks import track
from tests import tracking_fakes as fakes

FRESH = """
import sys
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
images = np.load(sys.argv[2])
table = mlflow.pyfunc.load_model("models:/regatta-classification@champion").predict(images)
np.save(sys.argv[3], table[["p(cat)", "p(dog)", "p(owl)"]].to_numpy())
assert list(table["class"]) == [["cat", "dog", "owl"][k] for k in np.load(sys.argv[3]).argmax(1)]
np.save(sys.argv[4], mlflow.pyfunc.load_model("models:/regatta-segmentation@champion").predict(images))
assert not any(name == "regatta" or name.startswith("regatta.") for name in sys.modules)
"""


def test_models_load_in_an_empty_folder_without_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a new process that knows nothing of the project, and equal to torch."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    runs = {
        "soft-a": {"problem": "classification", "dataset": "a"},
        "seg-s": {"problem": "segmentation", "dataset": "s"},
    }
    root = fakes.make_course(tmp_path / "course", runs)
    monkeypatch.chdir(root)
    for problem in ("classification", "segmentation"):
        track.main([problem])
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    arrays = [tmp_path / "images.npy", tmp_path / "p.npy", tmp_path / "maps.npy"]
    np.save(arrays[0], images)
    (tmp_path / "empty").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-c", FRESH, f"sqlite:///{root}/.regatta/mlflow.db", *map(str, arrays)],
        cwd=tmp_path / "empty", env=environment, check=True, timeout=120,
    )  # fmt: skip
    np.testing.assert_allclose(np.load(arrays[1]), logits(root, "soft-a", images).softmax(1), rtol=1e-5)
    np.testing.assert_array_equal(np.load(arrays[2]), logits(root, "seg-s", images).argmax(1))
    suffixes = {path.suffix for path in (root / ".regatta" / "mlartifacts").rglob("*") if path.is_file()}
    assert suffixes <= {
        "",
        ".csv",
        ".json",
        ".jsonl",
        ".lock",
        ".png",
        ".py",
        ".safetensors",
        ".txt",
        ".yaml",
    }


def logits(root: Path, name: str, images: np.ndarray) -> torch.Tensor:
    told: dict[str, Any] = json.loads((root / "trained" / name / "run.json").read_text())
    family = FAMILIES[told["family"]]
    spec = InputSpec(3, 32, 32, len(told["classes"]))
    network = restore(
        family, spec, family.options(**told["options"]), root / "trained" / name / "best.safetensors"
    )
    mean, std = (torch.tensor(told[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        return network((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)


def predictor(problem: str, resize: str = "letterbox", channels: int = 3) -> ImagePredictor:
    """Its network answers with the first two channels of what it is fed."""
    network = torch.nn.Conv2d(channels, 2, 1, bias=False)
    torch.nn.init.dirac_(network.weight)
    if problem == "classification":
        network = torch.nn.Sequential(network, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    zero, one = torch.zeros(channels, 1, 1), torch.ones(channels, 1, 1)
    return ImagePredictor(network, problem, ("red", "green"), channels, 16, 16, resize, zero, one)


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", [(16, 16), (20, 7), (5, 40), (1, 1)])
def test_label_maps_have_the_size_of_the_images(size: tuple[int, int], resize: str):
    images = np.zeros((2, *size, 3), np.uint8)
    images[0, ..., 0] = 200
    images[1, ..., 1] = 200
    maps = predictor("segmentation", resize).predict(images)
    assert maps.dtype == np.uint8
    assert maps.shape == (2, *size)
    assert (maps[0] == 0).all()
    assert (maps[1] == 1).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_alpha_images_are_converted(channels: int):
    table = predictor("classification").predict(np.full((1, 9, 9, channels), 255, np.uint8))
    assert table.shape == (1, 3)
    grey = predictor("segmentation", channels=1).predict(np.full((1, 9, 9, channels), 255, np.uint8))
    assert grey.shape == (1, 9, 9)


def test_pictures_of_the_networks_size_are_not_resampled():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    logits_NKhw = predictor("segmentation").logits(image)
    torch.testing.assert_close(logits_NKhw[0, 0], torch.from_numpy(image[0, ..., 0]) / 255)


def test_many_and_no_images():
    assert len(predictor("classification").predict(np.zeros((70, 4, 4, 3), np.uint8))) == 70
    assert len(predictor("classification").predict(np.zeros((0, 4, 4, 3), np.uint8))) == 0
    assert predictor("segmentation").predict(np.zeros((0, 4, 5, 3), np.uint8)).shape == (0, 4, 5)


@pytest.mark.parametrize("images", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.float32)])
def test_other_arrays_are_refused(images: np.ndarray):
    with pytest.raises(ValueError, match="uint8"):
        predictor("classification").predict(images)


def test_a_letterboxed_picture_lies_in_the_middle():
    wide = np.asarray(Image.new("RGB", (32, 16), (255, 0, 0)))[None]
    logits_NKhw = predictor("segmentation").logits(wide)
    assert (logits_NKhw[0, 0, 4:12] == 1).all()
    assert (logits_NKhw[0, 0, :4] == 0).all()
    assert (logits_NKhw[0, 0, 12:] == 0).all()
