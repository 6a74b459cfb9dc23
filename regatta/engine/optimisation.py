"""Optimisers and learning-rate schedules. A rate is a pure function of the step, so it needs no state."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from regatta.settings.recipe import Recipe


def optimiser_of(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser over the parameters that train, each as it lies in memory.

    Weight decay spares biases and normalisation (vectors), as in He et al. 2018 (arXiv 1812.01187, 3.1).
    A step takes the gradients of weights that do not lie in the order of their dimensions away from them.
    """
    views = [_View(parameter) for parameter in network.parameters() if parameter.requires_grad]
    optimiser = _over([view.lying for view in views], recipe)
    turned = [view for view in views if view.lying is not view.weight]
    optimiser.register_step_pre_hook(partial(_hand_over_gradients, turned))
    return optimiser


class _View:
    """A weight, and the same memory with its dimensions in the order in which they lie there.

    torch's fused kernels copy the gradient of each weight that is not contiguous, as those that lie channels
    last are not: on a CPU that takes three times as long as the update itself.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        self.weight = self.lying = weight
        self.order = sorted(range(weight.dim()), key=weight.stride, reverse=True)
        if not weight.is_contiguous():
            self.lying = nn.Parameter(weight.detach().permute(self.order))


def _hand_over_gradients(turned: list[_View], *_: object) -> None:
    """Autograd lays a gradient out as its weight lies."""
    for view in turned:
        gradient, view.weight.grad = view.weight.grad, None
        view.lying.grad = None if gradient is None else gradient.permute(view.order)


def _over(trained: list[nn.Parameter], recipe: Recipe) -> Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "sgd":
        # One kernel reads weights, gradients and momenta once; where there is no momentum it gains nothing.
        fused = True if recipe.momentum > 0 else None
        return SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused)
    kind = Adam if recipe.optimiser == "adam" else AdamW
    return kind(groups, lr=recipe.lr, fused=True)


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of optimiser step *step* (from 0): linear warm-up, then the schedule."""
    epoch = step / max(steps_per_epoch, 1)
    if epoch < recipe.warmup_epochs:
        return recipe.lr * min((step + 1) / (recipe.warmup_epochs * steps_per_epoch), 1.0)
    span = max(recipe.epochs - recipe.warmup_epochs, 1e-9)
    return recipe.lr * _factor(recipe, epoch, min((epoch - recipe.warmup_epochs) / span, 1.0))


def _factor(recipe: Recipe, epoch: float, progress: float) -> float:
    match recipe.schedule:
        case "constant":
            return 1.0
        case "step":
            return recipe.step_gamma ** math.floor(epoch / recipe.step_epochs)
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "poly":
            return (1 - progress) ** recipe.poly_power


def set_rate(optimiser: Optimizer, lr: float) -> None:
    """Let every parameter group learn at *lr*."""
    for group in optimiser.param_groups:
        group["lr"] = lr


def forget_gradients(optimiser: Optimizer) -> None:
    """What `zero_grad` does, which opens a range for torch's profiler each time: 12 µs, and this one half."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def balanced_weights(counts: tuple[int, ...]) -> Tensor:
    """f32[K]: 1/√share of each class, scaled so that their mean over the samples is 1; unseen classes 0."""
    share_K = torch.tensor(counts, dtype=torch.float64) / max(sum(counts), 1)
    weights_K = torch.where(share_K > 0, share_K.clamp_min(1e-12).rsqrt(), 0.0)
    return (weights_K / (weights_K * share_K).sum()).float()
