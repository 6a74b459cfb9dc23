"""The generated scenes: the same for ever, in any order, and not to be solved by colour."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from regatta.errors import RegattaError
from regatta.formats.scene_painter import Scene, paint
from regatta.formats.scene_shapes import CLASSES
from regatta.formats.scenes import run_lengths, write_scenes
from regatta.settings.card import Card, read_card
from regatta.settings.origin import SceneSpec
from tasks.download import download
from tasks.preprocess import preprocess

SPEC = SceneSpec(seed=3, train=40, val=2, test=3, height_px=48, width_px=64)


def small_card(**more: Any) -> Card:
    return read_card("scenes").model_copy(update={"scenes": SPEC} | more)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(small_card(), folder, lambda count: None)
    return folder


def test_pictures_of_a_version_never_change() -> None:
    """When this fails on purpose, raise SceneSpec's version: an old card must not mean new pictures."""
    digest = hashlib.sha256()
    for index in range(5):
        scene = paint(SPEC, 0, index)
        digest.update(scene.image.tobytes() + scene.labels.tobytes() + scene.instances.tobytes())
    assert digest.hexdigest() == "d69ae997ed2b52a404383f98c4a1047700e7542bb41b13ea3f661b5876806756"


def test_files_are_the_same_bytes_in_another_process(written: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from tests.test_scenes import small_card, write_scenes;"
        "write_scenes(small_card(), pathlib.Path(sys.argv[1]), lambda count: None)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    files = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    assert len(files) == 2 * 45 + 3
    for file in files:
        assert (written / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_a_scene_does_not_depend_on_those_before() -> None:
    backwards = [paint(SPEC, 1, index) for index in (2, 1, 0)]
    for index, scene in zip((2, 1, 0), backwards, strict=True):
        assert np.array_equal(paint(SPEC, 1, index).image, scene.image)
    assert not np.array_equal(paint(SPEC, 0, 0).image, paint(SPEC, 1, 0).image)


def test_seed_changes_the_pictures() -> None:
    other = SPEC.model_copy(update={"seed": 4})
    assert not np.array_equal(paint(SPEC, 0, 0).image, paint(other, 0, 0).image)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [paint(SPEC, 0, index) for index in range(200)]


def test_every_class_is_there_and_labels_go_with_instances(scenes: list[Scene]) -> None:
    shares = np.bincount(np.concatenate([scene.labels.ravel() for scene in scenes]), minlength=len(CLASSES))
    shares = shares / shares.sum()
    assert len(shares) == len(CLASSES) and shares[1:].min() > 0.02 and 0.4 < shares[0] < 0.85
    for scene in scenes:
        assert np.array_equal(scene.labels == 0, scene.instances == 0)
        for number in np.unique(scene.instances):
            assert len(np.unique(scene.labels[scene.instances == number])) == 1


def test_colour_says_little_about_the_class(scenes: list[Scene]) -> None:
    """Knowing a shape's mean colour (its nearest neighbour's class) is hardly better than guessing."""
    colours, kinds = zip(*(one for scene in scenes for one in _mean_colours(scene)), strict=True)
    points, labels = np.array(colours), np.array(kinds)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(len(points)) * 9
    found = (labels[distances.argmin(axis=1)] == labels).mean()
    assert len(points) > 500 and found < 1 / 6 + 0.06


def _mean_colours(scene: Scene) -> list[tuple[NDArray[np.float64], int]]:
    regions = [scene.instances == number for number in np.unique(scene.instances) if number]
    return [(scene.image[region].mean(axis=0) / 255, int(scene.labels[region][0])) for region in regions]


def test_shapes_overlap(scenes: list[Scene]) -> None:
    """Often enough, two shapes touch: what is behind is seen in part only."""
    touching = 0
    for scene in scenes:
        left, right = scene.instances[:, :-1], scene.instances[:, 1:]
        touching += bool(((left != right) & (left > 0) & (right > 0)).any())
    assert touching > len(scenes) / 2


def test_coco_file_describes_the_masks(written: Path) -> None:
    coco = json.loads((written / "train/instances.json").read_text())
    assert [one["name"] for one in coco["categories"]] == list(CLASSES[1:])
    assert len(coco["images"]) == SPEC.train and len({one["id"] for one in coco["annotations"]}) > SPEC.train
    painted = [np.zeros((SPEC.height_px, SPEC.width_px), np.uint8) for _ in coco["images"]]
    for one in coco["annotations"]:
        region = _from_run_lengths(one["segmentation"])
        x, y, width, height = one["bbox"]
        assert one["area"] == region.sum() == region[y : y + height, x : x + width].sum()
        assert region[y].any() and region[:, x].any()
        painted[one["image_id"]][region] = one["category_id"]
    for image, expected in zip(coco["images"], painted, strict=True):
        mask = Image.open(written / "train" / image["file_name"].replace("images", "masks"))
        assert np.array_equal(np.asarray(mask), expected)


def _from_run_lengths(segmentation: dict[str, list[int]]) -> NDArray[np.bool_]:
    values = np.arange(len(segmentation["counts"])) % 2 == 1
    height, width = segmentation["size"]
    return np.repeat(values, segmentation["counts"]).reshape(width, height).T


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0, 1], [1, 1]], [1, 3]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
    ],
)
def test_run_lengths(region: list[list[int]], expected: list[int]) -> None:
    assert run_lengths(np.array(region, bool)) == expected


def test_download_and_preprocess_keep_the_pixels(tmp_path: Path) -> None:
    card = small_card(image=read_card("scenes").image.model_copy(update={"height_px": 48}))
    download(card, tmp_path / "raw/scenes")
    preprocess(card, tmp_path / "raw/scenes", tmp_path / "packed/scenes")
    images = np.load(tmp_path / "packed/scenes/test/images.npy", allow_pickle=False)
    masks = np.load(tmp_path / "packed/scenes/test/targets.npy", allow_pickle=False)
    for index in range(SPEC.test):
        scene = paint(SPEC, 2, index)
        assert np.array_equal(images[index], scene.image) and np.array_equal(masks[index], scene.labels)


def test_other_classes_than_painted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegattaError, match="scenes are painted of ground, disc"):
        write_scenes(small_card(classes=("a", "b")), tmp_path, lambda count: None)
