"""Convolutions whose weights have their gradients by products: torch's own are the reference."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regatta.engine import convolution, weight_gradients
from regatta.engine.convolution import Conv2dByProducts, quicken_convolutions
from regatta.engine.costs import counted_flops, flop_counter
from regatta.engine.weight_gradients import Sides, by_patches, by_places

Pair = tuple[nn.Conv2d, nn.Conv2d]


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "onednn_lacks_a_kernel", lambda: True)


def quickened(theirs: nn.Conv2d) -> Pair:
    """torch's layer and ours, of the same weights."""
    theirs = theirs.to(memory_format=torch.channels_last)
    ours = quicken_convolutions(copy.deepcopy(theirs))
    assert isinstance(ours, Conv2dByProducts)
    return theirs, ours


def pair(kernel: int | Sides = 3, padding: int | Sides = 1, bias: bool = True) -> Pair:
    """Layers that move pixel by pixel."""
    return quickened(nn.Conv2d(16, 32, kernel, padding=padding, bias=bias))


def deep_pair(kernel: int | Sides = 3, padding: int | Sides = 1, stride: int | Sides = 2) -> Pair:
    """Layers of many channels."""
    return quickened(nn.Conv2d(64, 80, kernel, padding=padding, stride=stride))


def images(count: int = 3, height_px: int = 13, width_px: int = 17, channels: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, channels, height_px, width_px, generator=generator)
    return values.to(memory_format=torch.channels_last).requires_grad_()


def small_images(count: int = 3) -> Tensor:
    return images(count, 7, 10, 64)


def noted(monkeypatch: pytest.MonkeyPatch, way: Callable[..., Tensor]) -> list[Tensor]:
    """The gradients that were found in this *way* since."""
    found: list[Tensor] = []

    def finding(*arguments: object) -> Tensor:
        found.append(way(*arguments))
        return found[-1]

    monkeypatch.setattr(convolution, way.__name__, finding)
    return found


def gradients(layer: nn.Conv2d, values: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(layer(values).square().sum(), (values, *layer.parameters()))


@pytest.mark.parametrize("count", [1, 3, 8, 19])
@pytest.mark.parametrize(
    ("kernel", "padding", "bias"),
    [
        (3, 1, True),
        (3, 0, False),
        (5, 2, True),
        ((1, 3), (0, 1), False),
        ((4, 2), (2, 1), True),
        (3, 4, True),
    ],
)
def test_outputs_and_gradients_are_torchs(
    count: int,
    kernel: int | Sides,
    padding: int | Sides,
    bias: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, values = noted(monkeypatch, by_places), images(count)
    theirs, ours = pair(kernel, padding, bias)
    assert torch.equal(ours(values), theirs(values))
    torch.testing.assert_close(gradients(ours, values), gradients(theirs, values), rtol=1e-4, atol=1e-3)
    assert len(found) == 1 and found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("chunk_bytes", [1, 2**18, 2**24])
@pytest.mark.parametrize(
    ("kernel", "padding", "stride"),
    [
        (3, 1, 1),
        (3, 1, 2),
        (3, 0, 2),
        (5, 2, 3),
        ((4, 2), (2, 1), (1, 2)),
        ((1, 3), (0, 4), (2, 1)),
        ((7, 10), 0, 1),
    ],
)
def test_outputs_and_gradients_from_patches_are_torchs(
    chunk_bytes: int,
    kernel: int | Sides,
    padding: int | Sides,
    stride: int | Sides,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weight_gradients, "BYTES_AT_ONCE", chunk_bytes)
    found, values = noted(monkeypatch, by_patches), small_images(5)
    theirs, ours = deep_pair(kernel, padding, stride)
    assert torch.equal(ours(values), theirs(values))
    torch.testing.assert_close(gradients(ours, values), gradients(theirs, values), rtol=1e-4, atol=1e-3)
    assert len(found) == 1 and found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "loss", [lambda output: output.sum(), lambda output: output[..., ::2].square().sum()]
)
def test_gradients_of_any_layout_are_taken(
    loss: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, values, (theirs, ours) = noted(monkeypatch, by_places), images(), pair()
    expected, got = (torch.autograd.grad(loss(layer(values)), layer.weight)[0] for layer in (theirs, ours))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)
    assert len(found) == 1


def test_exact_sums_are_exact() -> None:
    values = torch.randint(-3, 4, (9, 16, 13, 17)).float().to(memory_format=torch.channels_last)
    grads = torch.randint(-3, 4, (9, 32, 13, 17)).float().to(memory_format=torch.channels_last)
    expected = torch.nn.grad.conv2d_weight(values, (32, 16, 3, 3), grads, padding=1)
    assert torch.equal(by_places(grads, values, (1, 1)), expected)
    assert torch.equal(by_patches(grads, values, (3, 3), (1, 1), (1, 1)), expected)


def test_exact_sums_of_leaps_are_exact() -> None:
    values = torch.randint(-3, 4, (9, 16, 13, 17)).float().to(memory_format=torch.channels_last)
    grads = torch.randint(-3, 4, (9, 32, 7, 6)).float().to(memory_format=torch.channels_last)
    expected = torch.nn.grad.conv2d_weight(values, (32, 16, 3, 3), grads, stride=(2, 3), padding=1)
    assert torch.equal(by_patches(grads, values, (3, 3), (1, 1), (2, 3)), expected)


@pytest.mark.parametrize(("layers", "values"), [(pair, images()), (deep_pair, small_images())])
def test_gradients_have_gradients(layers: Callable[[], Pair], values: Tensor) -> None:
    def twice(layer: nn.Conv2d) -> tuple[Tensor, ...]:
        wanted = (values, *layer.parameters())
        once = torch.autograd.grad(layer(values).pow(3).sum(), wanted, create_graph=True)
        return torch.autograd.grad(torch.stack([one.square().mean() for one in once]).sum(), wanted)

    theirs, ours = layers()
    torch.testing.assert_close(twice(ours), twice(theirs), rtol=1e-3, atol=1e-1)


def test_what_is_frozen_has_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    found, values, (_, ours) = noted(monkeypatch, by_places), images(), pair()
    ours.weight.requires_grad_(False)
    ours(values).sum().backward()
    assert not found and ours.weight.grad is None and values.grad is not None and ours.bias is not None
    assert ours.bias.grad is not None


@pytest.mark.parametrize(
    "values",
    [
        images().double(),
        images().contiguous(),
        images(height_px=5, width_px=5),
        images()[0],
    ],
    ids=["f64", "planes", "few pixels", "no batch"],
)
def test_what_would_gain_nothing_is_torchs_own(values: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    found, (theirs, ours) = noted(monkeypatch, by_places), pair()
    grads = [
        torch.autograd.grad(layer.to(values.dtype)(values).square().sum(), layer.weight)[0]
        for layer in (theirs, ours)
    ]
    assert torch.equal(*grads) and not found
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours.float()(images()), theirs.float()(images()))


def test_no_images_have_gradients_of_zeros() -> None:
    _, ours = deep_pair()
    assert all(not gradient.any() for gradient in gradients(ours, small_images(0)))


def test_operations_are_counted() -> None:
    theirs, ours = (layer.eval() for layer in pair())
    one = images(1).detach()
    assert counted_flops(ours, one) == counted_flops(theirs, one) > 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 32, 1),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(8, 64, 3),
        nn.Conv2d(48, 128, 3, stride=2),
        nn.Conv2d(16, 32, 3, dilation=2),
        nn.Conv2d(32, 32, 3, groups=2),
        nn.Conv2d(16, 32, 3, padding="same"),
        nn.Conv2d(16, 32, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_other_layers_are_left_alone(layer: nn.Conv2d) -> None:
    quicken_convolutions(nn.Sequential(layer))
    assert type(layer) is nn.Conv2d


def test_other_processors_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "onednn_lacks_a_kernel", lambda: False)
    layer = nn.Conv2d(16, 32, 3)
    quicken_convolutions(nn.Sequential(layer))
    assert type(layer) is nn.Conv2d


def test_products_of_the_backward_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least the numbers that torch counts for its own; borders of zeros are multiplied as well."""
    counts: list[int] = []
    for layer in pair():
        output = layer(images(2))
        with flop_counter() as counter:
            output.sum().backward()
        counts.append(counter.get_total_flops())
    theirs, ours = counts
    assert theirs <= ours < 1.5 * theirs
