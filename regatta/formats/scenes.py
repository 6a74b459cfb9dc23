"""`scenes`, written as a user's own mask-folder would lie: PNG images, PNG masks, COCO instances.

SPLIT/images/000000.png    RGB
SPLIT/masks/000000.png     palette PNG whose indices are the labels
SPLIT/instances.json       COCO: boxes, areas and run lengths of every shape
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regatta.errors import RegattaError
from regatta.formats.mask_folder import open_folders
from regatta.formats.scene_painter import Scene, paint
from regatta.formats.scene_shapes import CLASSES
from regatta.formats.source import Source
from regatta.settings.card import Card
from regatta.settings.origin import SPLITS, SceneSpec, SplitName, SplitSource

COLOURS = (
    (38, 42, 48), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Of the masks when looked at: Okabe and Ito's palette, which colour-blind people can tell apart."""


def open_scenes(raw: Path, card: Card, split: SplitName, place: SplitSource) -> Source:
    """Generated scenes are read as any folder of masks."""
    return open_folders(raw, card, f"{split}/images", f"{split}/masks")


def write_scenes(card: Card, folder: Path, advance: Callable[[int], None]) -> None:
    """Paint every scene of the card into *folder*. Same card, same bytes, in whatever order.

    Raises:
        RegattaError: the card's classes are not those that are painted.
    """
    if card.classes != CLASSES:
        raise RegattaError(f"datasets/{card.name}.yaml: classes: scenes are painted of {', '.join(CLASSES)}")
    assert card.scenes is not None
    for number, split in enumerate(SPLITS):
        _write_split(card.scenes, number, getattr(card.scenes, split), folder / split, advance)


def _write_split(
    spec: SceneSpec, number: int, count: int, folder: Path, advance: Callable[[int], None]
) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)

    annotations: list[dict[str, Any]] = []
    for index in range(count):  # in one thread: many small steps of numpy are slower in two
        scene = paint(spec, number, index)
        _save(scene, folder, f"{index:06d}.png")
        annotations += _annotations(scene, index)
        advance(1)
    _save_coco(spec, count, annotations, folder / "instances.json")


def _save(scene: Scene, folder: Path, name: str) -> None:
    Image.fromarray(scene.image).save(folder / "images" / name)
    mask = Image.fromarray(scene.labels)
    mask.putpalette([value for colour in COLOURS for value in colour])
    mask.save(folder / "masks" / name)


def _annotations(scene: Scene, index: int) -> list[dict[str, Any]]:
    """COCO's annotation of each shape that is visible."""
    numbers = [int(number) for number in np.unique(scene.instances) if number]
    return [_annotation(scene, index, number) for number in numbers]


def _annotation(scene: Scene, index: int, number: int) -> dict[str, Any]:
    region = scene.instances == number
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "image_id": index,
        "category_id": int(scene.labels[region][0]),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "area": int(region.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(region.shape), "counts": run_lengths(region)},
    }


def run_lengths(region: NDArray[np.bool_]) -> list[int]:
    """COCO's uncompressed run lengths: column by column, beginning with how many lie outside."""
    flat = np.concatenate([[False], region.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(changes, prepend=0, append=region.size).tolist()


def _save_coco(spec: SceneSpec, count: int, annotations: list[dict[str, Any]], path: Path) -> None:
    size = {"height": spec.height_px, "width": spec.width_px}
    content = {
        "images": [{"id": index, "file_name": f"images/{index:06d}.png", **size} for index in range(count)],
        "categories": [{"id": label, "name": name} for label, name in enumerate(CLASSES) if label],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, start=1)],
    }
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
