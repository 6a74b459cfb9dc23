"""One tester for every family: a family inherits it by being listed in `models.FAMILIES`.

A new family needs one row in CASES below; the first test says so if it is forgotten.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

import models
from models import FAMILIES
from models.family import ClassActivation, Family, InputSpec, SizeError
from models.weights import load_weights
from regatta.engine.tensor_files import write_weights
from regatta.settings.recipe import Recipe


def conv(inputs: int, outputs: int, side: int, *, bias: bool = True) -> int:
    """Weights of one square convolution."""
    return inputs * outputs * side * side + bias * outputs


def normed(inputs: int, outputs: int, side: int = 3, *, bias: bool = False) -> int:
    """Weights of a convolution and the normalisation after it, which has two for each channel."""
    return conv(inputs, outputs, side, bias=bias) + 2 * outputs


def linear(inputs: int, outputs: int) -> int:
    return conv(inputs, outputs, 1)


# Published totals (torchvision's tables of models) less the layers that are not used here.
RESNET18 = 11_689_512
RESNET18_TRUNK = RESNET18 - linear(512, 1000)
VGG_HEAD = linear(512 * 7 * 7, 4096) + linear(4096, 4096) + linear(4096, 1000)
VGG16_TRUNK = 138_357_544 - VGG_HEAD
VGG16_BN_TRUNK = 138_365_992 - VGG_HEAD
VGG19_BN_TRUNK = 143_678_248 - VGG_HEAD


def fcn_weights(skipped_channels: list[int], factors: list[int], classes: int) -> int:
    """Trunk, fc6, fc7, one score layer per resolution, one 2s x 2s transposed convolution per factor s."""
    scores = sum(conv(channels, classes, 1) for channels in [4096, *skipped_channels])
    upsampling = sum(conv(classes, classes, 2 * factor, bias=False) for factor in factors)
    return VGG19_BN_TRUNK + linear(512, 4096) + linear(4096, 4096) + scores + upsampling


def segnet_weights(classes: int) -> int:
    """Encoder, and the decoder of the paper's figure 2, convolution by convolution."""
    decoder = [(512, 512)] * 3 + [(512, 512)] * 2 + [(512, 256)] + [(256, 256)] * 2 + [(256, 128)]
    decoder += [(128, 128), (128, 64), (64, 64)]
    return VGG16_BN_TRUNK + sum(normed(i, o, bias=True) for i, o in decoder) + conv(64, classes, 3)


def unet_weights(classes: int) -> int:
    """14,328,209 for one class, the figure that segmentation_models_pytorch's users know."""
    steps = [(512 + 256, 256), (256 + 128, 128), (128 + 64, 64), (64 + 64, 32), (32, 16)]
    return RESNET18_TRUNK + sum(normed(i, o) + normed(o, o) for i, o in steps) + conv(16, classes, 3)


def pspnet_weights(classes: int) -> int:
    """The trunk ends at an eighth, before the stages of 256 and 512 maps; bin 1 has no BatchNorm."""
    stage_256 = normed(128, 256) + 3 * normed(256, 256) + normed(128, 256, 1)
    stage_512 = normed(256, 512) + 3 * normed(512, 512) + normed(256, 512, 1)
    pyramid = linear(128, 32) + 3 * normed(128, 32, 1)
    head = normed(2 * 128, 512, 1) + conv(512, classes, 3)
    return RESNET18_TRUNK - stage_256 - stage_512 + pyramid + head


def fpn_weights(classes: int) -> int:
    """Four lateral 1x1 convolutions, 3 + 2 + 1 + 1 segmentation blocks, one 1x1 for the logits."""
    lateral = sum(linear(channels, 256) for channels in (512, 256, 128, 64))
    blocks = 4 * normed(256, 128) + 3 * normed(128, 128)
    return RESNET18_TRUNK + lateral + blocks + linear(128, classes)


def deeplabv3plus_weights(classes: int) -> int:
    """ASPP: 1x1, three separable 3x3, pooling, projection; then two separable 3x3 and a 48-channel skip."""

    def separable(inputs: int, outputs: int) -> int:
        return 9 * inputs + normed(inputs, outputs, 1)

    aspp = 2 * normed(512, 256, 1) + 3 * separable(512, 256) + normed(5 * 256, 256, 1)
    decoder = separable(256, 256) + normed(64, 48, 1) + separable(256 + 48, 256)
    return RESNET18_TRUNK + aspp + decoder + linear(256, classes)


@dataclass(frozen=True)
class Case:
    """What is expected of one family."""

    counted: InputSpec
    """What it is fed where its weights are counted, …"""
    weights: int
    """… and how many there are, from a source or formula that is not the code."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Small ones, for every other test."""
    size: tuple[int, int] = (28, 28)
    lr: float = 3e-3
    """Adam's, for learning by heart."""
    activation: bool = False
    """Whether it implements ClassActivation."""


MNIST, CIFAR = InputSpec(1, 28, 28, 10), InputSpec(3, 32, 32, 10)
IMAGENET, STREET = InputSpec(3, 224, 224, 1000), InputSpec(3, 360, 480, 12)
NARROW = {"width": 0.0625}
SEGMENTED = (64, 40)

CASES = {
    "softmax": Case(MNIST, 7_850),
    "mlp": Case(MNIST, 669_706, options={"width": 32}),
    "cnn": Case(MNIST, 3_930, lr=1e-2),
    "lenet": Case(CIFAR, 62_006),
    "vgg16_gap": Case(CIFAR, VGG16_TRUNK + linear(512, 10), options=NARROW, activation=True),
    "resnet18": Case(IMAGENET, RESNET18, size=(16, 16), lr=1e-3, activation=True),
    "fcn32s": Case(STREET, fcn_weights([], [32], 12), options=NARROW, size=SEGMENTED),
    "fcn16s": Case(STREET, fcn_weights([512], [2, 16], 12), options=NARROW, size=SEGMENTED),
    "fcn8s": Case(STREET, fcn_weights([512, 256], [2, 2, 8], 12), options=NARROW, size=SEGMENTED),
    "segnet": Case(STREET, segnet_weights(12), options={"width": 0.125}, size=SEGMENTED),
    "unet": Case(STREET, unet_weights(12), size=SEGMENTED),
    "pspnet": Case(STREET, pspnet_weights(12), size=SEGMENTED),
    "fpn": Case(STREET, fpn_weights(12), size=SEGMENTED),
    "deeplabv3plus": Case(STREET, deeplabv3plus_weights(12), size=SEGMENTED),
}

Build = Callable[..., nn.Module]


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def case(family: Family) -> Case:
    assert family.name in CASES, f"give '{family.name}' a row in CASES"
    return CASES[family.name]


@pytest.fixture
def build(family: Family, case: Case) -> Build:
    """The family's small network for a size: weights from a seed, in train mode."""

    def built(height: int, width: int, *, channels: int = 3, classes: int = 4, seed: int = 1) -> nn.Module:
        torch.manual_seed(seed)
        return family.build(InputSpec(channels, height, width, classes), family.options(**case.options))

    return built


@pytest.fixture(autouse=True)
def on_one_core() -> Any:
    """Small networks are faster so, and every sum has one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(before)


def images(count: int, channels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, channels, height, width, generator=generator)


def logits_shape(family: Family, count: int, height: int, width: int) -> tuple[int, ...]:
    return (count, 4) if family.problem == "classification" else (count, 4, height, width)


def test_is_declared_like_its_file(family: Family, case: Case) -> None:
    assert FAMILIES[family.name] is family
    assert (Path(models.__path__[0]) / f"{family.name}.py").is_file()
    assert family.paper
    assert Recipe(**family.recipe)
    assert family.options(), "every option has a default"


def test_no_row_is_left_over() -> None:
    assert set(CASES) == set(FAMILIES)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_weight_gets_a_gradient(family: Family, case: Case, build: Build, channels: int) -> None:
    height, width = case.size
    network, batch = build(height, width, channels=channels), images(2, channels, height, width)
    before = batch.clone()
    logits = network(batch)
    logits.square().mean().backward()
    assert logits.shape == logits_shape(family, 2, height, width)
    assert torch.equal(batch, before), "the images were changed in place"
    for name, weights in network.named_parameters():
        assert weights.grad is not None, f"{name} has no part in the logits"
        assert weights.grad.isfinite().all(), name


@pytest.mark.parametrize(("height", "width"), [(37, 51), (97, 33)])
def test_odd_sizes(family: Family, build: Build, height: int, width: int) -> None:
    network = build(height, width).eval()
    with torch.no_grad():
        logits = network(images(1, 3, height, width))
    assert logits.shape == logits_shape(family, 1, height, width)
    assert logits.isfinite().all()


def test_weights_are_as_many_as_published(family: Family, case: Case) -> None:
    with torch.device("meta"):  # shapes without numbers: no time, no memory
        network = family.build(case.counted, family.options())
    assert sum(weights.numel() for weights in network.parameters()) == case.weights


def test_saved_and_loaded_it_gives_the_same_logits(case: Case, build: Build, tmp_path: Path) -> None:
    batch, path = images(2, 3, *case.size), tmp_path / "best.safetensors"
    first, second = build(*case.size), build(*case.size, seed=2)
    with torch.no_grad():
        first(batch)  # BatchNorm's statistics must travel too
        write_weights(first, path)
        load_weights(second, path)
        assert torch.equal(first.eval()(batch), second.eval()(batch))
    assert list(tmp_path.iterdir()) == [path]


def test_a_batch_gives_what_single_images_give(case: Case, build: Build) -> None:
    # In doubles: how far floats round apart depends on the processor's kernels.
    batch, network = images(3, 3, *case.size).double(), build(*case.size).double()
    with torch.no_grad():
        network(batch)
        network.eval()
        singles = torch.cat([network(image) for image in batch.split(1)])
        torch.testing.assert_close(network(batch), singles, rtol=1e-9, atol=1e-9)


def test_learns_eight_samples_by_heart(family: Family, case: Case, build: Build) -> None:
    network, batch = build(*case.size), images(8, 3, *case.size)
    targets = torch.arange(8) % 4
    if family.problem == "segmentation":  # the upper half is of one class, the lower of another
        targets = torch.stack([targets, torch.arange(8) // 2], dim=1)
        targets = targets.repeat_interleave(case.size[0] // 2, dim=1)[:, :, None].expand(8, *case.size)
    optimiser = torch.optim.Adam(network.parameters(), lr=case.lr)
    right = 0.0
    for _ in range(200):
        logits = network(batch)
        right = (logits.argmax(dim=1) == targets).double().mean().item()
        if right > 0.98:
            return
        optimiser.zero_grad()
        F.cross_entropy(logits, targets).backward()
        optimiser.step()
    pytest.fail(f"only {right:.0%} right after 200 steps")


def test_exported_it_gives_the_same_logits(case: Case, build: Build) -> None:
    batch, network = images(2, 3, *case.size), build(*case.size).eval()
    exported = torch.export.export(network, (batch,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(batch), network(batch), rtol=0, atol=0)


def test_an_unknown_option_is_refused_by_name(family: Family) -> None:
    with pytest.raises(ValidationError, match="wdith"):
        family.options(wdith=3)


def test_a_size_error_names_a_size_that_works(family: Family, build: Build) -> None:
    height, width = 1, 70
    try:
        network = build(height, width)
    except SizeError as refusal:
        found = re.search(r"nearest good size is (\d+) x (\d+) px$", str(refusal))
        assert found and "\n" not in str(refusal)
        height, width = int(found[1]), int(found[2])
        assert width == 70, "the side that was good is kept"
        with pytest.raises(SizeError):
            build(height - 1, width)
        network = build(height, width)
    with torch.no_grad():
        logits = network.eval()(images(1, 3, height, width))
    assert logits.shape == logits_shape(family, 1, height, width)


def test_class_activation_averages_to_the_logits(case: Case, build: Build) -> None:
    network = build(*case.size).eval()
    assert isinstance(network, ClassActivation) == case.activation
    if isinstance(network, ClassActivation):
        batch, bias_K = images(2, 3, *case.size), network.state_dict()["head.bias"]
        logits_BK, maps_BKhw = network.class_activation(batch)
        assert torch.equal(logits_BK, network(batch))
        torch.testing.assert_close(maps_BKhw.mean(dim=(2, 3)) + bias_K, logits_BK)
