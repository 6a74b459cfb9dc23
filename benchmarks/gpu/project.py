"""The project in a copy, with the two runs of this benchmark and scenes of 512×512."""

import os
import shutil
import sys
from pathlib import Path

import yaml

from benchmarks.project import copy_project, reproduce

SIDE_PX, SCENES = 512, 400
PARAMS = Path(__file__).with_name("params.yaml")


def lay_out(project: Path, mirror: Path | None, side_px: int = SIDE_PX, scenes: int = SCENES) -> Path:
    """The copy, nothing of which is run; *mirror* holds cifar-10/, else its own address is asked."""
    copy_project(project)
    shutil.copyfile(PARAMS, project / "params.yaml")
    card = project / "datasets/scenes.yaml"
    content = yaml.safe_load(card.read_text())
    content["image"] |= {"height_px": side_px, "width_px": side_px}
    content["scenes"] |= {"train": scenes, "val": 8, "test": 8, "height_px": side_px, "width_px": side_px}
    card.write_text(yaml.safe_dump(content))
    if mirror is not None:
        os.environ["REGATTA_MIRROR"] = mirror.expanduser().absolute().as_uri()
    return project


def run_stage(project: Path, *arguments: str) -> float:
    """`dvc repro ARGUMENTS` in the copy; seconds."""
    return reproduce(project, str(Path(sys.executable).parent / "dvc"), "repro", *arguments)
