"""SegNet: an encoder and its mirror image, which puts maxima back where the encoder found them."""

from torch import Tensor, nn
from torch.nn import functional as F

from models.family import Family, InputSpec, Options
from models.parts.recipes import DENSE
from models.parts.sizes import require_at_least
from models.parts.vgg import CHANNELS, VGG16, Width, conv_block, initialise, scaled, vgg_stages


class SegnetOptions(Options):
    """Options of segnet."""

    width: Width = 1.0
    """Factor on every inner layer's channels; at 1 the network has about 29 million weights."""


class Segnet(nn.Module):
    """VGG-16 with BatchNorm as encoder, unpooling with its indices, and convolutions as decoder.

    Poolings round up, so any size works: an unpooled map has the size that its pooling was given.
    """

    def __init__(self, channels: int, classes: int, width: float) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(vgg_stages(channels, VGG16, width, batch_norm=True))
        self.decoder = nn.ModuleList(_decoder_stages(classes, width))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        maps = images_BCHW
        poolings: list[tuple[Tensor, int, int]] = []  # indices i64[B c h w], and the height and width before
        for stage in self.encoder:
            maps = stage(maps)
            height, width = maps.shape[-2:]
            maps, indices = F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
            poolings.append((indices, height, width))
        for stage in self.decoder:
            maps = stage(unpooled(maps, *poolings.pop()))
        return maps


def unpooled(maps_BChw: Tensor, indices_BChw: Tensor, height: int, width: int) -> Tensor:
    """Each value at its index in zeros f32[B C height width].

    `F.max_unpool2d` does the same, but PyTorch counts it as non-deterministic, for windows might overlap.
    They do not here, so a plain scatter has one outcome, and one gradient.
    """
    batch, channels = maps_BChw.shape[:2]
    zeros = maps_BChw.new_zeros(batch, channels, height * width)
    placed = zeros.scatter(2, indices_BChw.flatten(2), maps_BChw.flatten(2))
    return placed.view(batch, channels, height, width)


def _decoder_stages(classes: int, width: float) -> list[nn.Sequential]:
    """The encoder's stages from last to first; the last convolution of each leads to the next one's width."""
    widths = [scaled(channels, width) for channels in CHANNELS]
    stages: list[nn.Sequential] = []
    for k in reversed(range(len(widths))):
        blocks: list[nn.Module] = [
            conv_block(widths[k], widths[k], batch_norm=True) for _ in range(VGG16[k] - 1)
        ]
        last = conv_block(widths[k], widths[k - 1], batch_norm=True) if k else _scores(widths[0], classes)
        stages.append(nn.Sequential(*blocks, last))
        if k:
            initialise(stages[-1])
    return stages


def _scores(inputs: int, classes: int) -> nn.Conv2d:
    """The last convolution gives the logits: no BatchNorm, no ReLU."""
    return nn.Conv2d(inputs, classes, 3, padding=1)


def build(spec: InputSpec, options: SegnetOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K H W].

    Raises:
        SizeError: a side is below 32 px.
    """
    require_at_least(32, spec, "segnet", "it halves the image five times")
    return Segnet(spec.channels, spec.classes, options.width)


FAMILY = Family(
    name="segnet",
    problem="segmentation",
    paper="Badrinarayanan, Kendall, Cipolla 2017, SegNet: A Deep Convolutional Encoder-Decoder Architecture "
    "for Image Segmentation, arXiv 1511.00561",
    build=build,
    options=SegnetOptions,
    recipe={**DENSE, "lr": 3e-3},
)
