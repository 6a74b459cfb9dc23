"""One optimiser step: augment, forward, loss, backward, update."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from regatta.engine.average import fold_in
from regatta.engine.optimisation import forget_gradients, rate, set_rate
from regatta.engine.order import Share, mixed
from regatta.engine.parts import Parts
from regatta.engine.precision import augments, autocast
from regatta.problems.batch import Batch
from regatta.problems.moves import DRAWS, moved, recoloured


def train_step(
    parts: Parts, epoch: int, step: int, batches: Iterator[tuple[Share, Batch]]
) -> tuple[Tensor, int]:
    """One optimiser step; this worker's loss f32[] and the step's samples over all workers."""
    recipe, world = parts.recipe, parts.world
    _seed_dropout(world.device, mixed(recipe.seed, "step", parts.state.step, world.rank))
    set_rate(parts.optimiser, rate(recipe, parts.state.step, parts.steps_per_epoch))
    forget_gradients(parts.optimiser)
    whole: Tensor | None = None
    seen = 0
    while True:
        share, batch = next(batches)
        seen += recipe.batch_size
        last = seen >= share.total
        with _gradients_stay_here(parts, last):
            loss = _loss(parts, share, _augmented(parts, epoch, step, seen, share, batch))
            loss.backward()
        whole = loss.detach() if whole is None else whole + loss.detach()
        if last:
            break
    _update(parts)
    return whole, share.total


def _seed_dropout(device: torch.device, seed: int) -> None:
    """As `torch.manual_seed` would, which takes 0.3 ms: it notes the stack for each kind of device that is
    not there."""
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def _loss(parts: Parts, share: Share, batch: Batch) -> Tensor:
    """This worker's part of the step's mean loss, times the workers: DDP takes the mean over them."""
    with autocast(parts.recipe.precision, parts.world.device):
        logits = parts.parallel(batch.images)
        losses_B = parts.examiner.problem.loss(logits, batch, parts.examiner.targets, parts.recipe)
    return losses_B[: share.positions.stop - share.positions.start].sum() * (parts.world.size / share.total)


def _augmented(parts: Parts, epoch: int, step: int, seen: int, share: Share, batch: Batch) -> Batch:
    """The batch, normalised; what is drawn depends on a sample's place in the global batch alone."""
    augment = parts.recipe.augment
    if not augments(augment):
        return Batch(parts.examiner.normalise(batch.images), batch.targets, batch.ids, batch.valid)
    generator = torch.Generator().manual_seed(mixed(parts.recipe.seed, "augment", epoch, step, seen))
    uniform_GD = torch.rand(parts.recipe.batch_size, DRAWS, generator=generator)
    uniform_BD = torch.zeros(len(batch.ids), DRAWS)
    uniform_BD[: share.positions.stop - share.positions.start] = uniform_GD[share.positions]
    if parts.world.device.type == "cuda":
        # Pinned: of other memory even a copy that need not be waited for is waited for.
        uniform_BD = uniform_BD.pin_memory().to(parts.world.device, non_blocking=True)
    batch = moved(batch, augment, uniform_BD, parts.examiner.targets.ignore_label)
    images = recoloured(batch.images.float(), augment, uniform_BD)
    return Batch(parts.examiner.normalise(images), batch.targets, batch.ids, batch.valid)


def _gradients_stay_here(parts: Parts, last: bool) -> AbstractContextManager[Any]:
    if isinstance(parts.parallel, DistributedDataParallel) and not last:
        return parts.parallel.no_sync()
    return nullcontext()


def _update(parts: Parts) -> None:
    if parts.recipe.clip_norm:
        nn.utils.clip_grad_norm_(parts.network.parameters(), parts.recipe.clip_norm)
    parts.optimiser.step()
    if parts.average is not None:
        fold_in(parts.average, parts.network, parts.recipe.ema_decay)
