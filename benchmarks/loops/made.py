"""Files of the same sizes and kinds as those of FashionMNIST, CIFAR-10 and CamVid, with nothing to learn."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES, CAMVID_LABELS = 10, 12
PICTURE_PX = (480, 360)
"""Width and height of CamVid's frames as the SegNet authors have them."""


def make_fashion(folder: Path, images: int) -> None:
    """Four idx files."""
    rng = np.random.default_rng(1)
    for split in ("train", "t10k"):
        _write_idx(folder / f"{split}-images-idx3-ubyte", rng.integers(0, 256, (images, 28, 28), np.uint8))
        _write_idx(folder / f"{split}-labels-idx1-ubyte", rng.integers(0, CLASSES, images, np.uint8))


def _write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(head + values.tobytes())


def make_cifar(folder: Path, images: int) -> None:
    """One file of records to train on, and one to test."""
    rng = np.random.default_rng(2)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        labels = rng.integers(0, CLASSES, (images, 1), np.uint8)
        pixels = rng.integers(0, 256, (images, 3 * 32 * 32), np.uint8)
        (folder / name).write_bytes(np.hstack([labels, pixels]).tobytes())


def make_camvid(folder: Path, pictures: int) -> None:
    """JPEG frames and PNG label maps."""
    rng = np.random.default_rng(3)
    for split in ("train", "val"):
        images, masks = folder / split, folder / f"{split}annot"
        images.mkdir(parents=True)
        masks.mkdir()
        for number in range(pictures):
            _frame(rng).save(images / f"{number:04d}.jpg", quality=95)
            labels = _smooth(rng, CAMVID_LABELS).argmax(-1).astype(np.uint8)
            Image.fromarray(labels).save(masks / f"{number:04d}.png")


def _frame(rng: np.random.Generator) -> Image.Image:
    """With about as many bytes, as JPEG, as a frame of CamVid: they decide how long it takes to decode."""
    noise = rng.normal(0, 5, (*PICTURE_PX[::-1], 3))
    return Image.fromarray(np.clip(_smooth(rng, 3) + noise, 0, 255).astype(np.uint8))


def _smooth(rng: np.random.Generator, channels: int) -> NDArray[np.float32]:
    """f32[H W channels], mostly in [0, 255]"""
    coarse = rng.uniform(0, 255, (channels, 18, 24)).astype(np.float32)
    fine = [Image.fromarray(plane).resize(PICTURE_PX, Image.Resampling.BICUBIC) for plane in coarse]
    return np.stack([np.asarray(plane) for plane in fine], axis=-1)
