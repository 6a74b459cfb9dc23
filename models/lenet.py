"""LeNet as the CIFAR-10 and garment tutorials of PyTorch have it: ReLU, max pooling, 120-84-C."""

from typing import Annotated

from pydantic import Field
from torch import nn

from models.family import Family, InputSpec, Options
from models.parts.sizes import require_at_least


class LenetOptions(Options):
    """Options of lenet."""

    padding: Annotated[int, Field(ge=0, le=2)] = 0
    """Zeros around the maps that each 5x5 convolution sees. 0 is the tutorials' and needs 16 px;
    2 keeps the maps' size and works from 4 px on."""


def build(spec: InputSpec, options: LenetOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K].

    Raises:
        SizeError: nothing would be left after the second pooling.
    """
    smallest_px = next(size for size in range(1, 17) if pooled_px(size, options.padding) >= 1)
    hint = "nothing is left after its second pooling (padding: 2 needs the least)"
    require_at_least(smallest_px, spec, "lenet", hint)
    cells = pooled_px(spec.height_px, options.padding) * pooled_px(spec.width_px, options.padding)
    # The tutorials pool what ReLU left: the same numbers and gradients, bit for bit, by four times the ReLUs.
    return nn.Sequential(
        nn.Conv2d(spec.channels, 6, 5, padding=options.padding),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(6, 16, 5, padding=options.padding),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * cells, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, spec.classes),
    )


def pooled_px(size_px: int, padding: int) -> int:
    """What two 5x5 convolutions, each halved by a pooling, leave of a side."""
    for _ in range(2):
        size_px = max(0, size_px + 2 * padding - 4) // 2
    return size_px


FAMILY = Family(
    name="lenet",
    problem="classification",
    paper="LeCun, Bottou, Bengio, Haffner 1998, Gradient-Based Learning Applied to Document Recognition, "
    "doi 10.1109/5.726791; layers of pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html",
    build=build,
    options=LenetOptions,
    recipe={"optimiser": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "cosine", "batch_size": 64},
)
