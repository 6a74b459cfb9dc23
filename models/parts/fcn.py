"""The fully convolutional network that fcn32s, fcn16s and fcn8s are three depths of."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.family import InputSpec, Options
from models.parts.bilinear import bilinear_upsampling, cropped_like
from models.parts.sizes import require_at_least
from models.parts.vgg import CHANNELS, VGG19, Width, initialise, scaled, vgg_stages

PAPER = (
    "Long, Shelhamer, Darrell 2015, Fully Convolutional Networks for Semantic Segmentation, arXiv 1411.4038"
)
FC_CHANNELS = 4096
SKIPPED = {32: (), 16: (3,), 8: (3, 2)}
"""Output stride → stages (counted from 0) whose pooled maps are scored too, coarse to fine."""


class FcnOptions(Options):
    """Options of the three depths alike."""

    width: Width = 1.0
    """Factor on every inner layer's channels; at 1 the network has about 39 million weights."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of fc6's and fc7's maps dropped while training."""


class Fcn(nn.Module):
    """VGG-19 with BatchNorm, 1x1 fc6 and fc7, scores at one to three resolutions, learnt upsampling.

    Differs from the paper, which takes VGG-16 without BatchNorm and keeps its last upsampling bilinear; and
    in that fc6 is 1x1 (not 7x7) and that poolings round up, so that a score map covers the image at any
    size: the paper pads the image by 100 pixels instead.
    """

    def __init__(self, spec: InputSpec, stride_px: Literal[8, 16, 32], width: float, dropout: float) -> None:
        super().__init__()
        skipped, classes = SKIPPED[stride_px], spec.classes
        self.stages = nn.ModuleList(vgg_stages(spec.channels, VGG19, width, batch_norm=True))
        self.score = _score_layers(width, dropout, classes)
        self.score_skipped = nn.ModuleList(nn.Conv2d(scaled(CHANNELS[k], width), classes, 1) for k in skipped)
        self.doubling = nn.ModuleList(bilinear_upsampling(classes, 2) for _ in skipped)
        self.enlarge = bilinear_upsampling(classes, stride_px)
        self.skipped = skipped

    def forward(self, images_BCHW: Tensor) -> Tensor:
        pooled = images_BCHW
        pools: list[Tensor] = []  # f32[B c h w] at 1/2, 1/4, 1/8, 1/16 and 1/32
        for stage in self.stages:
            pooled = F.max_pool2d(stage(pooled), 2, ceil_mode=True)
            pools.append(pooled)
        scores_BKhw = self.score(pooled)
        for k, score, doubled in zip(self.skipped, self.score_skipped, self.doubling, strict=True):
            scores_BKhw = cropped_like(doubled(scores_BKhw), pools[k]) + score(pools[k])
        return cropped_like(self.enlarge(scores_BKhw), images_BCHW)


def _score_layers(width: float, dropout: float, classes: int) -> nn.Sequential:
    """fc6, fc7 and the coarsest scores, as 1x1 convolutions."""
    inputs, hidden = scaled(CHANNELS[-1], width), scaled(FC_CHANNELS, width)
    layers = nn.Sequential(
        nn.Conv2d(inputs, hidden, 1),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        nn.Dropout(dropout),
    )
    initialise(layers)
    return layers.append(nn.Conv2d(hidden, classes, 1))


def build_fcn(spec: InputSpec, options: FcnOptions, stride_px: Literal[8, 16, 32]) -> Fcn:
    """The network whose finest score map has one cell for *stride_px* pixels a side.

    Raises:
        SizeError: the image is smaller than one cell of the coarsest score map.
    """
    require_at_least(32, spec, f"fcn{stride_px}s", "its coarsest score map has cells of 32 x 32 px")
    return Fcn(spec, stride_px, options.width, options.dropout)
