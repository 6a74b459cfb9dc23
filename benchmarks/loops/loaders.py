"""Data as PyTorch's tutorials feed them: a Dataset of PIL images, transforms, a DataLoader."""

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets
from torchvision.transforms import Compose, Normalize, ToTensor

RAW, TORCHVISION = Path("data/raw"), Path("data/torchvision")
RECORD_BYTES, SIDE_PX = 3073, 32
CAMVID_SIZE = (240, 180)
"""Width and height, px."""


class CifarImages(Dataset[tuple[Tensor, int]]):
    """CIFAR-10 as `torchvision.datasets.CIFAR10` serves it, which reads the pickled files only."""

    def __init__(self, folder: Path) -> None:
        files = [np.fromfile(path, np.uint8) for path in sorted(folder.glob("data_batch_*.bin"))]
        records = np.concatenate(files).reshape(-1, RECORD_BYTES)
        self.targets = records[:, 0].tolist()
        images_NCHW = records[:, 1:].reshape(-1, 3, SIDE_PX, SIDE_PX)
        self.images = np.ascontiguousarray(images_NCHW.transpose(0, 2, 3, 1))
        self.transform = Compose([ToTensor(), Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        return cast(Tensor, self.transform(image)), self.targets[index]


class CamvidImages(Dataset[tuple[Tensor, Tensor]]):
    """Files opened, brought to size and normalised one by one, as "Writing Custom Datasets, DataLoaders and
    Transforms" does it."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted((folder / "train").iterdir())
        self.masks = sorted((folder / "trainannot").iterdir())
        self.transform = Compose([ToTensor(), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.images[index]) as file:
            picture = file.convert("RGB").resize(CAMVID_SIZE, Image.Resampling.BILINEAR)
        with Image.open(self.masks[index]) as file:
            mask = file.resize(CAMVID_SIZE, Image.Resampling.NEAREST)
        return cast(Tensor, self.transform(picture)), torch.from_numpy(np.array(mask, np.int64))


def loader_of(dataset: str, batch_size: int) -> DataLoader[Any]:
    """Batches of normalised f32[B C H W] images and i64 targets, shuffled.

    With as many processes as the tutorials of these data have: the quickstart none besides its own, the
    CIFAR-10 tutorial two. The one on custom datasets has four for a GPU's sake; here one for each core.
    """
    match dataset:
        case "fashion-mnist":
            images, processes = datasets.FashionMNIST(TORCHVISION, train=True, transform=ToTensor()), 0
        case "cifar-10":
            images, processes = CifarImages(RAW / dataset / "cifar-10-batches-bin"), 2
        case _:
            images, processes = CamvidImages(RAW / dataset), os.cpu_count() or 1
    return DataLoader(images, batch_size=batch_size, shuffle=True, num_workers=processes)
