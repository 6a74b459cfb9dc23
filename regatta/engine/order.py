"""Which samples each worker reads at each step: a pure function of (seed, epoch, step).

Nothing here has state, so that any step can be computed without replaying the ones before it:
a run resumed in mid-epoch, or by another number of workers, goes on with the same global batches.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

SMALLEST_SHARE = 2
"""Batch normalisation cannot normalise one value, so that smaller shares are padded up to this."""


@dataclass(frozen=True)
class Share:
    """One worker's part of a global batch."""

    ids: Tensor
    """i64[B] indices into the split."""
    valid: Tensor
    """bool[B]; False is padding."""
    positions: slice
    """Where the valid samples stand in the global batch."""
    total: int
    """Samples in the optimiser step that this batch is part of, over all workers."""


def mixed(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part: the same on every machine and Python."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def permutation(samples: int, seed: int, epoch: int) -> Tensor:
    """i64[samples]: the order of the split in *epoch*."""
    generator = np.random.Generator(np.random.Philox(key=mixed("order", seed, epoch)))
    return torch.from_numpy(generator.permutation(samples))


def steps_per_epoch(samples: int, batch_size: int, accumulation: int) -> int:
    """Optimiser steps of one epoch; the last may be smaller."""
    return -(-samples // (batch_size * accumulation))


def step_shares(
    order: Tensor, step: int, batch_size: int, accumulation: int, rank: int, workers: int
) -> list[Share]:
    """What worker *rank* of *workers* reads in the epoch's optimiser step *step*: one share a micro-batch."""
    reach = batch_size * accumulation
    whole = order[step * reach : (step + 1) * reach]
    total = whole.shape[0]
    batches = whole.split(batch_size) if accumulation > 1 else (whole,)
    return [_share(batch, rank, workers, total) for batch in batches]


def _share(batch: Tensor, rank: int, workers: int, total: int) -> Share:
    samples = batch.shape[0]
    start, stop = samples * rank // workers, samples * (rank + 1) // workers
    ids, missing = batch[start:stop], max(SMALLEST_SHARE - (stop - start), 0)
    if missing:
        ids = torch.cat([ids, batch[:1].expand(missing)])
    return Share(ids, _valid(stop - start, missing), slice(start, stop), total)


@cache
def _valid(samples: int, missing: int) -> Tensor:
    """bool[samples + missing]. One for all shares that are alike: it is read and never written."""
    return torch.cat([torch.ones(samples, dtype=torch.bool), torch.zeros(missing, dtype=torch.bool)])


def evaluation_shares(samples: int, batch_size: int, rank: int, workers: int) -> list[Share]:
    """Whole batches in turn, so that a batch's composition, and every bit of its scores,
    does not depend on the number of workers."""
    batches = torch.arange(samples).split(batch_size)
    return [Share(ids, _valid(len(ids), 0), slice(0, len(ids)), samples) for ids in batches[rank::workers]]
