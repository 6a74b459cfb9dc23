"""Optimisers and learning-rate schedules. A rate is a pure function of the step, so it needs no state."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from regatta.settings.recipe import Recipe


def optimiser_of(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser over the parameters that train.

    Weight decay spares biases and normalisation (vectors), as in He et al. 2018 (arXiv 1812.01187, 3.1).
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "sgd":
        # One kernel reads weights, gradients and momenta once; where there is no momentum it gains nothing.
        fused = recipe.momentum > 0
        return SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused)
    kind = Adam if recipe.optimiser == "adam" else AdamW
    return kind(groups, lr=recipe.lr, fused=True)


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of optimiser step *step* (from 0): linear warm-up, then the schedule."""
    epoch = step / max(steps_per_epoch, 1)
    if epoch < recipe.warmup_epochs:
        return recipe.lr * (step + 1) / (recipe.warmup_epochs * steps_per_epoch)
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


def balanced_weights(counts: tuple[int, ...]) -> Tensor:
    """f32[K]: 1/√share of each class, scaled so that their mean over the samples is 1; unseen classes 0."""
    share_K = torch.tensor(counts, dtype=torch.float64) / max(sum(counts), 1)
    weights_K = torch.where(share_K > 0, share_K.clamp_min(1e-12).rsqrt(), 0.0)
    return (weights_K / (weights_K * share_K).sum()).float()
