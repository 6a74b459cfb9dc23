"""The training loop: epochs of steps, a validation after each, state that survives between any two."""

from collections.abc import Iterator
from contextlib import closing, nullcontext

from torch import Tensor, nn

from regatta.engine.clock import Clock, Say
from regatta.engine.evaluating import evaluate
from regatta.engine.job import Job
from regatta.engine.keeping import finish, forget_former_bests, keep_best
from regatta.engine.meter import Meter, Reading
from regatta.engine.optimisation import rate
from regatta.engine.order import Share, permutation, step_shares
from regatta.engine.parts import Parts, assemble, save_checkpoint
from regatta.engine.step import train_step
from regatta.engine.world import World
from regatta.errors import RegattaError


def train(job: Job, network: nn.Module, world: World, say: Say) -> None:
    """Train *network* as *job* says, from its newest checkpoint if there is one.

    Leaves in the job's folder: journal.jsonl, best.safetensors, last.safetensors and outcome.json.

    Raises:
        RegattaError: a loss was not finite.
        OSError: the job's folder cannot be written; the same job goes on from its last checkpoint.
    """
    parts = assemble(job, network, world)
    world.beat()  # From here on silence counts: reading a checkpoint and moving a split may take long.
    with closing(parts.journal) if parts.journal else nullcontext(), closing(parts.saver):
        if parts.state.step == 0:
            keep_best(parts)  # so that a run of no epochs has weights too
        for epoch in range(parts.state.validated, job.recipe.epochs):
            clock = Clock(parts, say)
            train_epoch(parts, epoch, clock)
            clock.tell_epoch(epoch, validate(parts, epoch))
            save_checkpoint(parts)
            forget_former_bests(parts)
        finish(parts)


def train_epoch(parts: Parts, epoch: int, clock: Clock) -> None:
    """The epoch's steps, from wherever the state stands."""
    state, recipe, total = parts.state, parts.recipe, parts.steps_per_epoch
    meter = Meter(parts.world)
    order = permutation(len(parts.train.images), recipe.seed, epoch)
    first = state.step - epoch * total
    batches = parts.train.batches(_shares(parts, order, first))
    parts.parallel.train()
    for step in range(first, total):
        loss, samples = train_step(parts, epoch, step, batches)
        state.step += 1
        parts.world.beat()
        meter.add(loss, samples)
        if (step + 1) % recipe.log_every_steps == 0 or step + 1 == total:
            _log(parts, meter.read(), epoch, clock)
            clock.checkpoint_if_due()
        clock.tell(epoch, step + 1)


def _shares(parts: Parts, order: Tensor, first: int) -> Iterator[Share]:
    recipe, world = parts.recipe, parts.world
    for step in range(first, parts.steps_per_epoch):
        yield from step_shares(order, step, recipe.batch_size, recipe.accumulation, world.rank, world.size)


def validate(parts: Parts, epoch: int) -> dict[str, float]:
    """Scores of the epoch's weights on the validation split; they are kept when they are the best so far.

    Raises:
        RegattaError: a loss was not finite, as after a last step that went astray.
    """
    state, problem = parts.state, parts.examiner.problem
    parts.world.agree_on_buffers(parts.judged)
    counts = evaluate(parts.judged, parts.val, parts.examiner)
    if counts.not_finite:
        raise RegattaError(
            f"run {parts.job.run}: the loss on the validation split is not finite after epoch {epoch + 1}: "
            f"lower lr, or set clip_norm"
        )
    scores = problem.scores(counts)
    state.validated = epoch + 1
    if parts.journal is not None:
        parts.journal.append(state.step, epoch + 1, {f"val/{name}": value for name, value in scores.items()})
    if scores[problem.primary] > state.best_score:
        state.best_score, state.best_epoch = scores[problem.primary], epoch + 1
        keep_best(parts)
    return scores


def _log(parts: Parts, reading: Reading, epoch: int, clock: Clock) -> None:
    state, recipe = parts.state, parts.recipe
    waited_s = clock.waited_s()
    state.train_s += reading.elapsed_s
    state.waited_s += waited_s
    state.samples += reading.samples
    clock.loss = reading.mean
    bad = reading.first_not_finite
    if bad is not None:
        raise RegattaError(_not_finite(parts, epoch, state.step - len(reading.losses) + bad))
    if parts.journal is not None:
        metrics = {
            "train/loss": reading.mean,
            "train/lr": rate(recipe, state.step - 1, parts.steps_per_epoch),
            "train/samples_per_s": reading.samples_per_s,
            "train/data_wait_share": waited_s / max(reading.elapsed_s, 1e-9),
        }
        parts.journal.append(state.step, epoch + 1, metrics)


def _not_finite(parts: Parts, epoch: int, step: int) -> str:
    recipe = parts.recipe
    order = permutation(len(parts.train.images), recipe.seed, epoch)
    shares = step_shares(
        order, step - epoch * parts.steps_per_epoch, recipe.batch_size, recipe.accumulation, 0, 1
    )
    ids = [i for share in shares for i in share.ids[share.valid].tolist()]
    shown = ", ".join(f"{i} ({parts.names[i]})" for i in ids[:4]) + (", …" if len(ids) > 4 else "")
    lr = rate(recipe, step, parts.steps_per_epoch)
    return (
        f"run {parts.job.run}: the loss is not finite at step {step} (epoch {epoch + 1}, learning rate "
        f"{lr:.4g}, samples {shown}): lower lr, set clip_norm, or look at these samples"
    )
