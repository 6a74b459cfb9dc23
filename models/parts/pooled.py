"""A trunk, a global average pool and one linear layer: what class activation maps need."""

from typing import Self

import torch
from torch import Tensor, nn


class PooledClassifier(nn.Module):
    """Averages the trunk's features and classifies the average; implements `ClassActivation`.

    The mean over pixels and the linear layer commute: the mean of a class's activation map,
    plus that class's bias, is its logit (Zhou et al. 2016, arXiv 1512.04150).
    """

    def __init__(self, trunk: nn.Module, features: int, classes: int, *, frozen_trunk: bool = False) -> None:
        """*trunk* maps f32[B C H W] to f32[B features h w]; a frozen one is neither trained nor adapted."""
        super().__init__()
        self.trunk = trunk.requires_grad_(not frozen_trunk)
        self.head = nn.Linear(features, classes)
        self.frozen_trunk = frozen_trunk

    def train(self, mode: bool = True) -> Self:
        """As nn.Module's, but a frozen trunk stays in eval mode: its BatchNorm statistics are frozen too."""
        super().train(mode)
        if self.frozen_trunk:
            self.trunk.eval()
        return self

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features_BFhw = self.trunk(images_BCHW)
        return self.head(features_BFhw.mean(dim=(2, 3)))

    def class_activation(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits f32[B K] and class activation maps f32[B K h w], unnormalised."""
        features_BFhw = self.trunk(images_BCHW)
        maps_BKhw = torch.einsum("bfhw,kf->bkhw", features_BFhw, self.head.weight)
        return self.head(features_BFhw.mean(dim=(2, 3))), maps_BKhw
