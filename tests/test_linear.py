"""Linear layers by oneDNN: torch's own are the reference, forward, backward and once more."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regatta.engine import linear
from regatta.engine.costs import counted_flops
from regatta.engine.linear import OneDnnLinear, by_onednn, quicken_linears


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> tuple[nn.Module, nn.Module]:
    """torch's layer and ours, of the same weights; on any processor."""
    monkeypatch.setattr(linear, "mkl_takes_half_the_width", lambda: True)
    theirs = nn.Linear(400, 260)
    ours = quicken_linears(copy.deepcopy(theirs))
    assert isinstance(ours, OneDnnLinear)
    return theirs, ours


@pytest.mark.parametrize("shape", [(64, 400), (2, 3, 400), (1, 400), (0, 400), (400,)])
@pytest.mark.parametrize(
    "loss",
    [
        lambda output: output.sum(),
        lambda output: output.square().sum(),
        lambda output: output[..., ::2].square().sum(),
    ],
    ids=["expanded", "dense", "with gaps"],
)
def test_outputs_and_gradients_are_torchs(
    layers: tuple[nn.Module, nn.Module], shape: tuple[int, ...], loss: Callable[[Tensor], Tensor]
) -> None:
    theirs, ours = layers
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    torch.testing.assert_close(ours(values), theirs(values))
    expected, got = (
        torch.autograd.grad(loss(layer(values)), (values, *layer.parameters())) for layer in (theirs, ours)
    )
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_gradients_have_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = (7, 5), (3, 5), (3,)
    values = tuple(torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes)

    def twice(function: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        once = torch.autograd.grad(function(*values).pow(3).sum(), values, create_graph=True)
        return torch.autograd.grad(torch.stack([one.square().sum() for one in once]).sum(), values)

    torch.testing.assert_close(twice(by_onednn), twice(functional.linear), rtol=1e-5, atol=1e-4)


def test_other_numbers_than_f32_are_torchs_own(layers: tuple[nn.Module, nn.Module]) -> None:
    theirs, ours = layers
    values = torch.randn(8, 400)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(values), theirs(values))
    assert torch.equal(ours.double()(values.double()), theirs.double()(values.double()))


def test_operations_are_counted(layers: tuple[nn.Module, nn.Module]) -> None:
    theirs, ours = (layer.eval() for layer in layers)
    assert counted_flops(ours, torch.zeros(1, 400)) == counted_flops(theirs, torch.zeros(1, 400)) == 208_000


def test_small_layers_and_other_processors_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = nn.Linear(100, 100), nn.Linear(400, 260)
    monkeypatch.setattr(linear, "mkl_takes_half_the_width", lambda: False)
    quicken_linears(nn.Sequential(small, large))
    assert type(large) is nn.Linear
    monkeypatch.setattr(linear, "mkl_takes_half_the_width", lambda: True)
    quicken_linears(nn.Sequential(small, large))
    assert type(small) is nn.Linear and type(large) is OneDnnLinear
