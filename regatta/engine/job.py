"""What one training run is asked to do; plain values, so that it can be sent to any worker as JSON."""

from pathlib import Path
from typing import Any

import torch

from regatta.engine.optimisation import balanced_weights
from regatta.packed.schema import Schema
from regatta.problems.problem import NO_IGNORE, Targets
from regatta.settings.card import ProblemName
from regatta.settings.reading import Frozen
from regatta.settings.recipe import Recipe


class Job(Frozen):
    """One run, resolved. The folder must be one that every worker can reach."""

    run: str
    problem: ProblemName
    family: str
    options: dict[str, Any]
    recipe: Recipe
    data: Path
    """The packed data set."""
    key: str
    folder: Path
    """Work in flight: journal, checkpoints, weights."""


class Outcome(Frozen):
    """What a finished run leaves in `folder/outcome.json`, beside best.safetensors and last.safetensors."""

    parameters: int
    flops: int
    """Of one image."""
    best_epoch: int
    best_score: float
    best_digest: str
    """Of best.safetensors, as it was written."""
    last_digest: str
    steps: int
    train_s: float
    samples_per_s: float
    data_wait_share: float
    workers: int
    device: str


def channel_statistics(schema: Schema, recipe: Recipe) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel, of values in [0, 1], that the network's input is freed of."""
    if recipe.normalise == "unit":
        return (0.0,) * schema.channels, (1.0,) * schema.channels
    return schema.mean, schema.std


def targets_of(schema: Schema, recipe: Recipe, device: torch.device) -> Targets:
    """What the data set's labels mean to a loss under *recipe*."""
    weights = None
    if recipe.class_weights == "balanced":
        weights = balanced_weights(schema.class_counts["train"]).to(device)
    ignore = NO_IGNORE if schema.ignore_label is None else schema.ignore_label
    return Targets(len(schema.classes), ignore, weights)
