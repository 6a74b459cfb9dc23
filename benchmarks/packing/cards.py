"""What is packed: two sets of pictures, one of them in two sizes."""

from typing import Any

from benchmarks.packing.pictures import CIFAR_CLASSES
from regatta.settings.card import Card
from regatta.settings.reading import parse

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
CAMVID = {
    "name": "camvid",
    "problem": "segmentation",
    "format": "mask-folder",
    "classes": CAMVID_CLASSES,
    "ignore_label": len(CAMVID_CLASSES),
    "splits": {
        "train": {"images": "train", "masks": "trainannot"},
        "val": {"fraction": 0.1},
        "test": {"images": "val", "masks": "valannot"},
    },
}
CIFAR = {
    "name": "cifar",
    "problem": "classification",
    "format": "image-folder",
    "classes": CIFAR_CLASSES,
    "splits": {split: {"folder": split} for split in ("train", "val", "test")},
}


def _card(content: dict[str, Any], height_px: int, width_px: int) -> Card:
    about = {"title": "of a benchmark", "licence": "-", "citation": "-", "path": "."}
    return parse(Card, content | about | {"image": {"height_px": height_px, "width_px": width_px}}, "card")


CARDS = {
    "CamVid at 240×180": _card(CAMVID, 180, 240),
    "CamVid as it is, 480×360": _card(CAMVID, 360, 480),
    "10,000 PNGs of 32×32": _card(CIFAR, 32, 32),
}
