"""Folders of pictures as users have them: real ones where given, else generated of the same sizes."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regatta.formats.cifar_binary import RECORD_BYTES, SIDE_PX

CAMVID_PAIRS = {"train": 367, "val": 101}
CAMVID_PX = (360, 480)
CAMVID_LABELS = 12
CIFAR_IMAGES = {"train": 8000, "val": 1000, "test": 1000}
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def generate_camvid(folder: Path, share: float) -> None:
    """SPLIT/*.jpg of 480x360 and SPLITannot/*.png of labels 0-11, in number and size like CamVid's."""
    rng = np.random.default_rng(0)
    for split, count in CAMVID_PAIRS.items():
        images, masks = folder / split, folder / f"{split}annot"
        images.mkdir(parents=True)
        masks.mkdir()
        for number in range(max(2, round(share * count))):
            photograph(rng, *CAMVID_PX).save(images / f"{number:04}.jpg", quality=92, subsampling=0)
            mask = _smooth(rng, *CAMVID_PX, cells=24)[..., 0] // 22
            Image.fromarray(mask).save(masks / f"{number:04}.png")


def write_cifar(mirror: Path | None, folder: Path, share: float) -> None:
    """SPLIT/CLASS/*.png of 32x32: from the binary archive below *mirror*, else generated."""
    records = _cifar_records(mirror) if mirror else _made_records()
    for split, count in CIFAR_IMAGES.items():
        for number in range(max(20, round(share * count))):
            label, image = next(records)
            place = folder / split / CIFAR_CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{number:05}.png")


def photograph(rng: np.random.Generator, height_px: int, width_px: int) -> Image.Image:
    """Soft shapes with some grain: a JPEG of it is about as large as one of a photograph."""
    shapes = _smooth(rng, height_px, width_px, cells=12).astype(np.int16)
    grain = rng.normal(0, 9, (height_px, width_px, 1)).astype(np.int16)
    return Image.fromarray((shapes + grain).clip(0, 255).astype(np.uint8))


def _smooth(rng: np.random.Generator, height_px: int, width_px: int, cells: int) -> NDArray[np.uint8]:
    coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BILINEAR))


def _cifar_records(mirror: Path) -> Iterator[tuple[int, Image.Image]]:
    archive = next((mirror / "cifar-10").glob("cifar-10-binary*.tar.gz"))
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member) if member.name.endswith(".bin") else None
            records = np.frombuffer(file.read() if file else b"", np.uint8).reshape(-1, RECORD_BYTES)
            for record in records:
                image_HWC = record[1:].reshape(3, SIDE_PX, SIDE_PX).transpose(1, 2, 0)
                yield int(record[0]), Image.fromarray(np.ascontiguousarray(image_HWC))


def _made_records() -> Iterator[tuple[int, Image.Image]]:
    rng = np.random.default_rng(1)
    for number in range(sum(CIFAR_IMAGES.values())):
        yield number % len(CIFAR_CLASSES), photograph(rng, SIDE_PX, SIDE_PX)
