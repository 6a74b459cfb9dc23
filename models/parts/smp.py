"""What the families of segmentation_models_pytorch share: encoder names, any size, no idle layers.

The library, and timm with it, is imported inside functions: it costs seconds that `import models`
must not.
"""

import difflib
import re
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.family import InputSpec, Options
from models.parts.sizes import require_at_least

DEFAULT_ENCODER = "resnet18"
SMALLEST_PX = 32


def _known_encoder(name: str) -> str:
    """*name* as the library wants it: its own names as they are, timm's with 'tu-' before them."""
    # Both libraries take names apart at dots and colons, and look some of them up in folders or on hubs.
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?", name):
        raise ValueError("must be letters, digits, '_' or '-', with at most one '.'")
    if name == DEFAULT_ENCODER:
        return name  # known without the import
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    # The library warns that its 'timm-' names go away: timm itself has the same encoders.
    own = [each for each in get_encoder_names() if not each.startswith("timm-")]
    bare = name.removeprefix("tu-")
    if name in own:
        return name
    if timm.is_model(bare):
        return f"tu-{bare}"
    close = difflib.get_close_matches(bare, [*own, *timm.list_models()], n=1, cutoff=0)
    raise ValueError(f"unknown encoder '{name}': did you mean '{close[0]}'?")


class EncoderOptions(Options):
    """Options of every family with an encoder."""

    encoder: Annotated[str, AfterValidator(_known_encoder)] = DEFAULT_ENCODER
    """Any encoder of segmentation_models_pytorch or timm that gives feature maps at several scales."""
    pretrained: bool = False
    """Start the encoder from published weights, downloaded once."""
    depth: Annotated[int, Field(ge=3, le=5)] = 5
    """Times the encoder halves the image. Fewer suit small images: the deep stages hold most weights."""


class Padded(nn.Module):
    """A network that wants sides divisible by *multiple_px*, for images of any size.

    The image is continued below and to the right by its own last row and column, and the logits are cut
    back: pixels keep their places, for strided layers count from the top left corner.
    """

    def __init__(self, network: nn.Module, multiple_px: int) -> None:
        super().__init__()
        self.network = network
        self.multiple_px = multiple_px

    def forward(self, images_BCHW: Tensor) -> Tensor:
        height, width = images_BCHW.shape[-2:]
        margins = (0, -width % self.multiple_px, 0, -height % self.multiple_px)
        if not any(margins):
            return self.network(images_BCHW)
        logits_BKHW = self.network(F.pad(images_BCHW, margins, mode="replicate"))
        # Not two slices: their gradients are two sets of zeros, and what they leave has gaps.
        return F.pad(logits_BKHW, [-margin for margin in margins])


class Idle(nn.Module):
    """Stands where a layer was whose results nobody reads; some encoders still call it."""

    def forward(self, maps: Tensor, *rest: object) -> Tensor:
        return maps


def assembled(
    architecture: Callable[..., nn.Module], family: str, spec: InputSpec, options: EncoderOptions
) -> nn.Module:
    """*architecture* of the library around the encoder asked for; layers that never run are taken out.

    Raises:
        SizeError: a side is below 32 px.
        ValueError: the encoder does not suit the architecture, or its weights cannot be fetched.
    """
    require_at_least(SMALLEST_PX, spec, family, "its encoder halves the image up to five times")
    try:
        network = architecture(
            encoder_name=options.encoder,
            encoder_depth=options.depth,
            encoder_weights=_weights(options),
            in_channels=spec.channels,
            classes=spec.classes,
        )
        padded = Padded(network, _multiple_px(network))
        idle = _idle_parameters(padded, spec)
    # Encoders refuse in their own ways, down to AssertionError and the errors of three download clients.
    except Exception as fault:
        reason = " ".join(f"{type(fault).__name__}: {fault}".split())[:300]
        remedy = "set pretrained: false or another encoder" if options.pretrained else "set another encoder"
        raise ValueError(
            f"{family}: the encoder '{options.encoder}' does not work here ({reason}); {remedy}"
        ) from fault
    _take_out(padded, idle)
    return padded


def _weights(options: EncoderOptions) -> str | bool | None:
    """As the library wants it: True for timm's encoders, a name for its own."""
    if not options.pretrained:
        return None
    return True if options.encoder.startswith("tu-") else "imagenet"


def _multiple_px(network: nn.Module) -> int:
    stride = getattr(network.encoder, "output_stride", SMALLEST_PX)
    return int(stride)


def _idle_parameters(network: nn.Module, spec: InputSpec) -> set[str]:
    """Names of the parameters that the logits do not depend on.

    PSPNet reads its encoder at the depth that is asked for and leaves the deeper stages unused, but in
    place: they would be counted, and stop DistributedDataParallel, which waits for their gradients. Found by
    one step: on the meta device, as `tasks.build` builds networks, at the size asked for, so that an encoder
    that does not suit it fails there rather than in training. What computes shapes without numbers takes
    half a second to import, so that a network with numbers computes with them, on as few as will do.
    """
    size_px = (spec.height_px, spec.width_px)
    if next(network.parameters()).is_meta:
        return _unread(network, spec.channels, *size_px)
    try:
        return _unread(network, spec.channels, SMALLEST_PX, SMALLEST_PX)
    except Exception:  # as with encoders that are made for one size
        return _unread(network, spec.channels, *size_px)


def _unread(network: nn.Module, channels: int, height_px: int, width_px: int) -> set[str]:
    """Names of the parameters that get no gradient from one image of this size."""
    device = next(network.parameters()).device
    network.eval()  # else this image would count among those that normalisation goes by
    network(torch.zeros(1, channels, height_px, width_px, device=device)).sum().backward()
    idle = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    network.zero_grad()
    network.train()
    return idle


def _take_out(module: nn.Module, idle: set[str], prefix: str = "") -> None:
    """Replace every module below *module* whose parameters are all *idle* by `Idle`."""
    for name, child in list(module.named_children()):
        path = f"{prefix}{name}."
        parameters = {path + each for each, _ in child.named_parameters()}
        if parameters and parameters <= idle:
            setattr(module, name, Idle())
        elif parameters & idle:
            _take_out(child, idle, path)
