"""What single families and their shared parts promise beyond what every family does."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from models import FAMILIES
from models.family import InputSpec, SizeError
from models.parts.bilinear import bilinear_upsampling
from models.parts.pooled import PooledClassifier
from models.segnet import unpooled

NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once


def build(family: str, spec: InputSpec, **options: object) -> nn.Module:
    torch.manual_seed(1)
    return FAMILIES[family].build(spec, FAMILIES[family].options(**options))


def test_importing_models_costs_no_vision_library() -> None:
    code = (
        "import sys, models; print({'torchvision', 'timm', 'segmentation_models_pytorch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- sizes ---------------------------------------------------------------------------------------------


def test_lenet_fits_the_digits_with_padding_only() -> None:
    digits = InputSpec(1, 8, 8, 10)
    with pytest.raises(SizeError, match=r"8 x 8 px .* the nearest good size is 16 x 16 px"):
        build("lenet", digits)
    assert build("lenet", digits, padding=2)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_lenet_pools_before_relu_and_learns_what_the_tutorials_net_does() -> None:
    ours = build("lenet", InputSpec(3, 32, 32, 10))
    assert isinstance(ours, nn.Sequential)
    theirs = copy.deepcopy(ours)
    for first in (1, 4):
        theirs[first], theirs[first + 1] = theirs[first + 1], theirs[first]
    assert [type(theirs[at]) for at in (1, 2, 4, 5)] == [nn.ReLU, nn.MaxPool2d] * 2
    images = torch.randn(4, 3, 32, 32)
    for network in (ours, theirs):
        network(images).square().sum().backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None and other.grad is not None
        assert torch.equal(mine.grad, other.grad)


@pytest.mark.parametrize(("size_px", "map_px"), [(1, 1), (7, 7), (8, 4), (28, 7), (32, 4), (224, 14)])
def test_vgg16_gap_leaves_out_poolings_that_would_leave_too_small_a_map(size_px: int, map_px: int) -> None:
    network = build("vgg16_gap", InputSpec(1, size_px, size_px, 3), width=0.0625)
    assert isinstance(network, PooledClassifier)
    with torch.no_grad():
        _, maps_BKhw = network.class_activation(torch.zeros(1, 1, size_px, size_px))
    assert maps_BKhw.shape == (1, 3, map_px, map_px)


@pytest.mark.parametrize("family", ["fcn8s", "segnet", "unet", "pspnet", "fpn", "deeplabv3plus"])
def test_a_street_of_another_shape(family: str) -> None:
    options = {"width": 0.0625} if family in ("fcn8s", "segnet") else {}
    network = build(family, InputSpec(3, 180, 240, 12), **options).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 180, 240)).shape == (1, 12, 180, 240)


# --- upsampling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_upsampling_starts_as_bilinear_interpolation(factor: int) -> None:
    maps = torch.randn(1, 2, 6, 7, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
    found = bilinear_upsampling(2, factor)(maps)
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # at the border one repeats, one sees zeros
    torch.testing.assert_close(found[inner], expected[inner])


@pytest.mark.parametrize("size", [(8, 6), (7, 9), (1, 3)])
def test_unpooling_puts_values_where_pytorch_would(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    pooled, indices = F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
    expected = F.max_unpool2d(pooled, indices, [2, 2], output_size=list(size))
    assert torch.equal(unpooled(pooled, indices, *size), expected)


# --- transfer learning ---------------------------------------------------------------------------------


def test_a_frozen_backbone_does_not_move() -> None:
    network = build("resnet18", InputSpec(3, 32, 32, 4), freeze="backbone").train()
    trainable = [name for name, weights in network.named_parameters() if weights.requires_grad]
    assert trainable == ["head.weight", "head.bias"]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.SGD((w for w in network.parameters() if w.requires_grad), lr=0.1)
    network(torch.randn(4, 3, 32, 32)).square().mean().backward()
    optimiser.step()
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(before[name], tensor)]
    assert moved == ["head.weight", "head.bias"], "BatchNorm's statistics are part of the backbone"


@pytest.fixture
def imagenet_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """torchvision's download, already there: its file name, and weights of our own."""
    from torchvision.models import ResNet18_Weights, resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(5)
    state = resnet18().state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / Path(ResNet18_Weights.IMAGENET1K_V1.url).name)
    return state


def test_pretrained_starts_from_the_published_weights(imagenet_weights: dict[str, torch.Tensor]) -> None:
    network = build("resnet18", InputSpec(3, 64, 64, 4), pretrained=True)
    state = network.state_dict()
    assert torch.equal(state["trunk.conv1.weight"], imagenet_weights["conv1.weight"])
    assert torch.equal(state["trunk.layer4.1.bn2.weight"], imagenet_weights["layer4.1.bn2.weight"])


def test_pretrained_sees_a_grey_image_as_its_colour_copy(imagenet_weights: dict[str, torch.Tensor]) -> None:
    colour = build("resnet18", InputSpec(3, 64, 64, 4), pretrained=True).eval()
    grey = build("resnet18", InputSpec(1, 64, 64, 4), pretrained=True).eval()
    load = {name: tensor for name, tensor in colour.state_dict().items() if name.startswith("head")}
    grey.load_state_dict(load, strict=False)
    images_B1HW = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(grey(images_B1HW), colour(images_B1HW.expand(2, 3, 64, 64)))


def test_pretrained_does_not_fit_the_small_stem() -> None:
    with pytest.raises(ValueError, match="set its option stem: imagenet"):
        build("resnet18", InputSpec(3, 32, 32, 4), pretrained=True)


@pytest.mark.parametrize(
    ("family", "said"), [("resnet18", "cannot fetch"), ("unet", "'resnet18' does not work here")]
)
def test_weights_that_cannot_be_fetched_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, said: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # urllib keeps the first opener it makes, proxies included: this one must not outlive the test.
    monkeypatch.setattr("urllib.request._opener", None)
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, NOWHERE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it tries for 20 seconds
    with pytest.raises(ValueError, match=said) as caught:
        build(family, InputSpec(3, 64, 64, 4), pretrained=True)
    assert "\n" not in str(caught.value)


# --- encoders ------------------------------------------------------------------------------------------


def test_an_unknown_encoder_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match="unknown encoder 'resnet81': did you mean 'resnet18'"):
        FAMILIES["unet"].options(encoder="resnet81")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("resnet18", "resnet18"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("tu-regnety_002", "tu-regnety_002"),
        ("regnety_002", "tu-regnety_002"),
    ],
)
def test_encoders_of_the_library_and_of_timm_are_known(given: str, used: str) -> None:
    options = FAMILIES["unet"].options(encoder=given)
    assert options.model_dump()["encoder"] == used
    assert FAMILIES["unet"].options.model_validate(options.model_dump()) == options


def test_an_encoder_that_does_not_suit_is_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match="fpn: the encoder 'tu-vit_tiny_patch16_224' does not work"
    ) as caught:
        build("fpn", InputSpec(3, 64, 64, 4), encoder="vit_tiny_patch16_224")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoder", ["efficientnet-b0", "mobilenet_v2", "convnext_atto"])
def test_layers_that_never_run_are_taken_out(encoder: str) -> None:
    network = build("pspnet", InputSpec(3, 48, 50, 4), encoder=encoder)
    network(torch.randn(2, 3, 48, 50)).sum().backward()
    assert [name for name, weights in network.named_parameters() if weights.grad is None] == []


@pytest.mark.parametrize("family", ["unet", "pspnet", "fpn", "deeplabv3plus"])
@pytest.mark.parametrize("depth", [3, 5])
def test_with_numbers_and_without_the_same_layers_are_found_idle(family: str, depth: int) -> None:
    spec = InputSpec(3, 80, 75, 4)
    with torch.device("meta"):
        checked = build(family, spec, depth=depth)
    built = build(family, spec, depth=depth)
    assert [name for name, _ in built.named_parameters()] == [name for name, _ in checked.named_parameters()]
    assert all(module.training for module in built.modules())


def test_an_encoder_for_one_size_only_works_at_that_size() -> None:
    network = build("unet", InputSpec(3, 224, 224, 4), encoder="swin_tiny_patch4_window7_224", depth=4)
    assert network.eval()(torch.randn(1, 3, 224, 224)).shape == (1, 4, 224, 224)


def test_finding_idle_layers_leaves_what_normalisation_goes_by_alone() -> None:
    network = build("unet", InputSpec(3, 64, 64, 4), depth=3)
    state = network.state_dict()
    counted = [name for name in state if name.endswith("num_batches_tracked") and state[name]]
    moved = [name for name in state if name.endswith("running_mean") and state[name].any()]
    assert "network.encoder.bn1.running_mean" in state and not counted + moved
