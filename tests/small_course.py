"""A whole course in a few seconds, in this process: one data set of two lights, one run, every step."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tasks import download, evaluate, preprocess, report, train
from tests.conftest import copy_project

CARD = {
    "title": "Two lights",
    "problem": "classification",
    "format": "image-folder",
    "licence": "none",
    "citation": "none",
    "classes": ["bright", "dark"],
    "image": {"height_px": 8, "width_px": 8},
    "splits": {"train": {"folder": "train"}, "val": {"fraction": 0.25}, "test": {"folder": "test"}},
}
RUN = {"problem": "classification", "dataset": "lights", "family": "softmax", "batch_size": 4, "epochs": 5}
Step = Callable[[list[str]], None]
STEPS: dict[str, tuple[Step, str]] = {
    "data/raw": (download.main, "lights"),
    "data/packed": (preprocess.main, "lights"),
    "trained": (train.main, "lamp"),
    "results": (evaluate.main, "lamp"),
    "report": (report.main, "classification"),
}
"""What writes each output, and its argument."""


def lay_out_small_course(parent: Path) -> Path:
    """A copy of the project below *parent*, of which nothing is done yet."""
    project = copy_project(parent)
    _paint(project / "own")
    (project / "datasets/lights.yaml").write_text(yaml.safe_dump(CARD | {"path": str(project / "own")}))
    params = {
        "defaults": {"threads_per_worker": 1},
        "problems": ["classification"],
        "datasets": ["lights"],
        "runs": {"lamp": RUN},
    }
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    return project


def make_small_course(parent: Path) -> Path:
    """The same, come to its report."""
    project = lay_out_small_course(parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.delenv("REGATTA_HOME", raising=False)
        for step, name in STEPS.values():
            step([name])
    return project


def _paint(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, many in (("train", 24), ("test", 6)):
        for light, name in ((150, "bright"), (0, "dark")):
            (folder / split / name).mkdir(parents=True)
            for i in range(many):
                picture = rng.integers(light, light + 100, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(picture).save(folder / split / name / f"{i}.png")
