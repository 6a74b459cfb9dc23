"""A job as tutorials have it: the same net, its loss, optimiser and data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import DataLoader

from benchmarks.loops.loaders import loader_of
from regatta.engine.job import Job, targets_of
from regatta.packed.schema import open_packed
from regatta.settings.recipe import Recipe
from tasks.train import network_of


@dataclass(frozen=True)
class Lesson:
    """What a tutorial's loop turns, and Lightning's."""

    network: nn.Module
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    optimizer: Optimizer
    loader: DataLoader[Any]


def lesson_of(job: Job) -> Lesson:
    """The job as a lesson."""
    schema, network = open_packed(job.data).schema, network_of(job)
    ignored = targets_of(schema, job.recipe, torch.device("cpu")).ignore_label
    loss_fn = nn.CrossEntropyLoss(ignore_index=ignored)
    loader = loader_of(schema.dataset, job.recipe.batch_size)
    return Lesson(network, loss_fn, optimizer_of(network, job.recipe), loader)


def optimizer_of(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser, called as tutorials call it."""
    if recipe.optimiser == "sgd":
        return SGD(network.parameters(), lr=recipe.lr, momentum=recipe.momentum)
    return Adam(network.parameters(), lr=recipe.lr)
