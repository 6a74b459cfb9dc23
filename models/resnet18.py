"""ResNet-18, torchvision's, with a stem for small images and the two kinds of transfer learning."""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from models.family import Family, InputSpec, Options
from models.parts.pooled import PooledClassifier

FEATURES = 512
SMALL_BELOW_PX = 64


class Resnet18Options(Options):
    """Options of resnet18."""

    stem: Literal["auto", "imagenet", "small"] = "auto"
    """imagenet: 7x7 of stride 2 and a max pool. small: 3x3 of stride 1, no pool (He et al., 4.2).
    auto: small where a side is below 64 px."""
    pretrained: bool = False
    """Start from torchvision's ImageNet weights, downloaded once; they need the imagenet stem."""
    freeze: Literal["none", "backbone"] = "none"
    """none fine-tunes every layer; backbone trains the linear layer only and leaves the rest, BatchNorm
    statistics included, as it is."""


def build(spec: InputSpec, options: Resnet18Options) -> nn.Module:
    """f32[B C H W] to logits f32[B K], with `class_activation`; any size.

    Raises:
        ValueError: pretrained weights cannot be fetched, or do not fit the stem.
    """
    below = min(spec.height_px, spec.width_px) < SMALL_BELOW_PX
    small = below if options.stem == "auto" else options.stem == "small"
    if small and options.pretrained:
        raise ValueError("resnet18: pretrained weights fit no small stem; set its option stem: imagenet")
    trunk = _trunk(spec.channels, small=small, pretrained=options.pretrained)
    return PooledClassifier(trunk, FEATURES, spec.classes, frozen_trunk=options.freeze == "backbone")


def _trunk(channels: int, *, small: bool, pretrained: bool) -> nn.Sequential:
    """torchvision's ResNet-18 up to its last residual block: f32[B C H W] to f32[B 512 h w]."""
    # Imported late: torchvision costs more than a second, and most processes build another family or none.
    from torchvision.models import resnet18

    network = resnet18(weights=None)
    if pretrained:
        network.load_state_dict(_imagenet_weights())
    if small:
        network.conv1 = _fresh(nn.Conv2d(channels, 64, 3, padding=1, bias=False))
        network.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    elif channels != 3:
        rgb = network.conv1
        network.conv1 = _fresh(nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False))
        if pretrained:
            _spread(rgb, network.conv1)
    return nn.Sequential(OrderedDict(list(network.named_children())[:-2]))


def _imagenet_weights() -> dict[str, Tensor]:
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.IMAGENET1K_V1
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as fault:
        raise ValueError(
            f"resnet18: cannot fetch {weights.url} ({fault}); "
            "put it into torch's hub folder, or set its option pretrained: false"
        ) from fault


def _fresh(stem: nn.Conv2d) -> nn.Conv2d:
    """*stem* initialised as torchvision does."""
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    return stem


def _spread(rgb: nn.Conv2d, stem: nn.Conv2d) -> None:
    """Give each channel of *stem* the mean RGB filter, with the sum over channels unchanged."""
    mean_O1hw = rgb.weight.detach().mean(dim=1, keepdim=True)
    stem.weight.data.copy_(mean_O1hw * 3 / stem.in_channels)


FAMILY = Family(
    name="resnet18",
    problem="classification",
    paper="He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition, arXiv 1512.03385",
    build=build,
    options=Resnet18Options,
    recipe={
        "optimiser": "sgd",
        "lr": 0.05,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "cosine",
        "batch_size": 64,
    },
)
