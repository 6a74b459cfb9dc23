"""One pass over a split without learning: exact counts, whatever the number of workers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regatta.engine.feed import Feed
from regatta.engine.job import targets_of
from regatta.engine.order import evaluation_shares
from regatta.engine.precision import Normaliser, autocast, normaliser
from regatta.engine.world import World
from regatta.packed.schema import Schema
from regatta.problems import PROBLEMS
from regatta.problems.batch import Batch
from regatta.problems.counts import Counts, from_flat, no_counts
from regatta.problems.problem import Problem, Targets
from regatta.settings.recipe import Recipe

Channels = tuple[float, ...]
"""One number for each, in [0, 1]."""
Witness = Callable[[Batch, Tensor], None]
"""Called with each batch and its logits, on the worker that computed them."""


@dataclass(frozen=True)
class Examiner:
    """What an evaluation needs besides a network and a split."""

    problem: Problem
    targets: Targets
    normalise: Normaliser
    recipe: Recipe
    world: World


def examiner_of(schema: Schema, recipe: Recipe, world: World, mean: Channels, std: Channels) -> Examiner:
    """For data of *schema*, normalised by *mean* and *std*, and a network trained as *recipe* says."""
    return Examiner(
        PROBLEMS[schema.problem],
        targets_of(schema, recipe, world.device),
        normaliser(mean, std, recipe.channels_last, world.device),
        recipe,
        world,
    )


def evaluate(network: nn.Module, feed: Feed, examiner: Examiner, witness: Witness | None = None) -> Counts:
    """Counts of *network* over the whole split, the same on every worker."""
    training = network.training
    network.eval()
    counts = no_counts(examiner.targets.classes, examiner.world.device)
    shares = evaluation_shares(
        len(feed.images), examiner.recipe.batch_size, examiner.world.rank, examiner.world.size
    )
    with torch.inference_mode():
        for _, batch in feed.batches(shares):
            with autocast(examiner.recipe.precision, examiner.world.device):
                logits = network(examiner.normalise(batch.images))
            counts = counts + examiner.problem.count(logits, batch, examiner.targets)
            examiner.world.beat()
            if witness:
                witness(batch, logits)
        total = from_flat(examiner.world.total(counts.flat()), examiner.targets.classes)
    network.train(training)
    return total
