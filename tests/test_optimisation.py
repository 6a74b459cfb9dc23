"""Learning rates against torch's own schedulers; weight decay; class weights."""

import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler
from torch.profiler import ProfilerActivity, profile

from regatta.engine import optimisation
from regatta.engine.checkpoint import optimiser_tensors, restore_optimiser
from regatta.engine.optimisation import balanced_weights, optimiser_of, rate
from regatta.settings.recipe import Recipe

STEPS, EPOCHS = 10, 6


def rates(recipe: Recipe) -> list[float]:
    return [rate(recipe, step, STEPS) for step in range(STEPS * recipe.epochs)]


def reference(make) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler, values = make(optimiser), list[float]()
    for _ in range(STEPS * EPOCHS):
        values.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return values


@pytest.mark.parametrize(
    ("recipe", "scheduler"),
    [
        (Recipe(schedule="constant"), lambda o: lr_scheduler.ConstantLR(o, factor=1)),
        (Recipe(schedule="cosine"), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS * EPOCHS)),
        (Recipe(schedule="poly"), lambda o: lr_scheduler.PolynomialLR(o, STEPS * EPOCHS, power=0.9)),
        (
            Recipe(schedule="step", step_epochs=2, step_gamma=0.3),
            lambda o: lr_scheduler.StepLR(o, 2 * STEPS, gamma=0.3),
        ),
    ],
    ids=["constant", "cosine", "poly", "step"],
)
def test_schedules_equal_torch(recipe: Recipe, scheduler) -> None:
    recipe = recipe.model_copy(update={"lr": 0.4, "epochs": EPOCHS})
    assert rates(recipe) == pytest.approx(reference(scheduler), abs=1e-9)


def test_warm_up_rises_to_the_rate_and_then_the_schedule_begins() -> None:
    values = rates(Recipe(lr=1.0, epochs=EPOCHS, warmup_epochs=2, schedule="cosine"))
    assert values[:20] == pytest.approx([(i + 1) / 20 for i in range(20)])
    assert values[20] == pytest.approx(1.0)
    assert values[40] == pytest.approx(0.5)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_restored_states_go_on_as_if_nothing_had_happened(optimiser: Literal["sgd", "adam", "adamw"]) -> None:
    recipe = Recipe(optimiser=optimiser, lr=0.1, momentum=0.9, weight_decay=0.1)
    uninterrupted, first = updated(recipe, 6), updated(recipe, 3)
    kept = {name: value.contiguous() for name, value in optimiser_tensors(first[1]).items()}
    again = updated(recipe, 3, weight=first[0].detach(), kept=kept)
    assert torch.equal(again[0], uninterrupted[0])


def updated(
    recipe: Recipe, steps: int, weight: Tensor | None = None, kept: dict[str, Tensor] | None = None
) -> tuple[Tensor, Optimizer]:
    """The weight of a convolution, channels last, after so many updates by the same gradients."""
    network = nn.Conv2d(3, 5, 3, bias=False)
    generator = torch.Generator().manual_seed(7)
    weight = torch.rand(5, 3, 3, 3, generator=generator) if weight is None else weight
    network.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))
    optimiser = optimiser_of(network, recipe)
    if kept:
        restore_optimiser(optimiser, kept)
    gradient = torch.rand(5, 3, 3, 3, generator=torch.Generator().manual_seed(8))
    for _ in range(steps):
        network.weight.grad = gradient.to(memory_format=torch.channels_last)
        optimiser.step()
    return network.weight.detach(), optimiser


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_one_kernel_updates_as_torchs_plain_loop_does(
    optimiser: Literal["sgd", "adam", "adamw"], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(optimiser=optimiser, lr=0.1, momentum=0.9, weight_decay=0.1)
    fused, _ = updated(recipe, 6)

    def plain(kind: type[Optimizer]) -> Callable[..., Optimizer]:
        return lambda *args, **kwargs: kind(*args, **kwargs | {"fused": False, "foreach": False})

    for kind in (SGD, Adam, AdamW):
        monkeypatch.setattr(optimisation, kind.__name__, plain(kind))
    torch.testing.assert_close(updated(recipe, 6)[0], fused)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_an_update_copies_no_gradient(optimiser: Literal["sgd", "adam", "adamw"]) -> None:
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        updated(Recipe(optimiser=optimiser, momentum=0.9), 2)
    names = {event.key for event in seen.key_averages()}
    assert any(name.startswith("aten::_fused") for name in names)
    assert "aten::contiguous" not in names


def test_gradients_are_gone_after_an_update_and_weights_without_any_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 3)).to(memory_format=torch.channels_last)
    before = [weight.detach().clone() for weight in network.parameters()]
    optimiser = optimiser_of(network, Recipe(lr=0.1))
    network[0](torch.rand(1, 3, 4, 4)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    assert [weight.grad for weight in network.parameters()] == [None] * 4
    changed = [not torch.equal(was, now) for was, now in zip(before, network.parameters(), strict=True)]
    assert changed == [True, True, False, False]


def test_vectors_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    matrices, vectors = optimiser_of(network, Recipe(weight_decay=0.1)).param_groups
    assert (matrices["weight_decay"], len(matrices["params"])) == (0.1, 1)
    assert (vectors["weight_decay"], len(vectors["params"])) == (0.0, 3)


def test_frozen_parameters_are_not_optimised() -> None:
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    assert [len(group["params"]) for group in optimiser_of(network, Recipe()).param_groups] == [1]


def test_balanced_weights_are_one_on_average_and_rarer_classes_weigh_more() -> None:
    weights = balanced_weights((900, 100, 0))
    assert weights[1] / weights[0] == pytest.approx(3.0)
    assert 0.9 * weights[0] + 0.1 * weights[1] == pytest.approx(1.0)
    assert weights[2] == 0
    assert not math.isnan(float(weights.sum()))


@pytest.mark.parametrize("warmup_epochs", [0.05, 0.25, 0.33])
def test_warm_up_of_a_part_of_a_step_does_not_overshoot(warmup_epochs: float) -> None:
    assert max(rates(Recipe(lr=1.0, epochs=EPOCHS, warmup_epochs=warmup_epochs, schedule="constant"))) == 1.0
