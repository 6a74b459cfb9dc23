"""A segmentation loop as torchvision's reference scripts write it (references/segmentation/train.py).

Files are decoded by PIL and flipped in the processes of a DataLoader; the loss is read back in each step.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import PolynomialLR
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.tv_tensors import Image as ImageTensor
from torchvision.tv_tensors import Mask

from regatta.settings.recipe import Recipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IGNORED = 255


class Scenes(Dataset[tuple[Tensor, Tensor]]):
    """Images f32[3 H W] and label maps i64[H W] from a folder of `scenes`, decoded one at a time."""

    def __init__(self, split: Path) -> None:
        self.images, self.masks = (sorted((split / part).iterdir()) for part in ("images", "masks"))
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                v2.ToDtype({ImageTensor: torch.float32, Mask: torch.int64}, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        image = ImageTensor(v2.functional.pil_to_tensor(Image.open(self.images[at]).convert("RGB")))
        mask = Mask(torch.from_numpy(np.array(Image.open(self.masks[at]))))
        return self.transform(image, mask)


class ReferenceLoop:
    """The loop over *split*, to be gone on with for some steps at a time."""

    def __init__(self, network: nn.Module, split: Path, recipe: Recipe, device: torch.device) -> None:
        self.network, self.device = network.to(device).train(), device
        self.loader = DataLoader(
            Scenes(split),
            recipe.batch_size,
            shuffle=True,
            num_workers=os.cpu_count() or 1,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
            drop_last=True,
        )
        self.optimiser = SGD(
            network.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        steps = recipe.epochs * len(self.loader)
        self.rates = PolynomialLR(self.optimiser, steps, power=recipe.poly_power)
        self.batches = self._endless()

    def train(self, steps: int) -> float:
        """Mean loss of so many steps."""
        return sum(self._step(*next(self.batches)) for _ in range(steps)) / steps

    def _step(self, images_BCHW: Tensor, masks_BHW: Tensor) -> float:
        images_BCHW, masks_BHW = images_BCHW.to(self.device), masks_BHW.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = F.cross_entropy(self.network(images_BCHW), masks_BHW, ignore_index=IGNORED)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.rates.step()
        return loss.item()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader
