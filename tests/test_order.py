"""The order of samples: a pure function of (seed, epoch, step), whoever reads which part of it."""

import pytest
import torch

from regatta.engine.order import evaluation_shares, permutation, step_shares, steps_per_epoch


def global_sequence(samples: int, workers: int, *, batch: int, accumulation: int = 1) -> list[list[int]]:
    """Ids of each optimiser step's micro-batches, put together from all workers."""
    order = permutation(samples, seed=3, epoch=2)
    sequence: list[list[int]] = []
    for step in range(steps_per_epoch(samples, batch, accumulation)):
        of_workers = [step_shares(order, step, batch, accumulation, r, workers) for r in range(workers)]
        for micro in zip(*of_workers, strict=True):
            sequence.append([i for share in micro for i in share.ids[share.valid].tolist()])
    return sequence


def test_an_epoch_holds_every_sample_once() -> None:
    seen = [i for batch in global_sequence(103, 1, batch=8) for i in batch]
    assert sorted(seen) == list(range(103))


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_any_number_of_workers_reads_the_same_sequence(workers: int, accumulation: int) -> None:
    alone = global_sequence(103, 1, batch=8, accumulation=accumulation)
    assert global_sequence(103, workers, batch=8, accumulation=accumulation) == alone


def test_orders_differ_by_seed_and_epoch_and_repeat_for_the_same() -> None:
    first = permutation(50, seed=1, epoch=0)
    assert torch.equal(first, permutation(50, seed=1, epoch=0))
    assert not torch.equal(first, permutation(50, seed=1, epoch=1))
    assert not torch.equal(first, permutation(50, seed=2, epoch=0))


def test_a_share_too_small_for_batch_statistics_is_padded_and_marked() -> None:
    order = permutation(9, seed=0, epoch=0)
    (share,) = step_shares(order, 1, 8, 1, rank=1, workers=2)  # one sample left for two workers
    assert len(share.ids) == 2
    assert int(share.valid.sum()) == 1
    (empty,) = step_shares(order, 1, 8, 1, rank=0, workers=2)
    assert int(empty.valid.sum()) == 0
    assert empty.total == share.total == 1


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_evaluation_keeps_whole_batches_whatever_the_number_of_workers(workers: int) -> None:
    alone = [share.ids.tolist() for share in evaluation_shares(50, 8, 0, 1)]
    parts = [[s.ids.tolist() for s in evaluation_shares(50, 8, r, workers)] for r in range(workers)]
    together = [parts[i % workers][i // workers] for i in range(len(alone))]
    assert together == alone
