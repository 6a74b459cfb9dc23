"""The engine's loop as `tasks.train` has it, and the engine's step on one batch that is already in memory."""

import itertools
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial

from torch import distributed

from benchmarks.loops.questions import Answer, Question, answer_all, follow_all
from regatta.engine.clock import Clock
from regatta.engine.job import Job
from regatta.engine.order import permutation, step_shares
from regatta.engine.parts import Parts, assemble
from regatta.engine.step import train_step
from regatta.engine.training import train_epoch
from regatta.engine.world import World
from tasks.train import network_of

Say = Callable[[str], None]


def answer_as_worker(job: Job, world: World, say: Say) -> None:
    """What each worker does: put the loop together as `regatta.engine.training` does, and measure it."""
    parts = _of_whole_batches(assemble(job, network_of(job), world))
    answer = answer_all if world.leads else follow_all
    with closing(parts.journal) if parts.journal else nullcontext():
        answer(job.folder, lambda question: measured(parts, question, say), world.beat)


def _of_whole_batches(parts: Parts) -> Parts:
    """Without the epoch's last, smaller one, so that all steps that are measured are alike."""
    feed, batch_size = parts.train, parts.recipe.batch_size
    samples = len(feed.images) // batch_size * batch_size
    return replace(parts, train=replace(feed, images=feed.images[:samples], targets=feed.targets[:samples]))


def measured(parts: Parts, question: Question, say: Say) -> Answer:
    """Answer *question* together with the other workers."""
    if parts.world.size > 1:
        distributed.barrier()  # They noticed the question at different times.
    steps = partial(_loop, parts, say) if question.what == "loop" else partial(_step, parts)
    if question.warm_up_steps:
        steps(question.warm_up_steps)
    return steps(question.steps)


def _loop(parts: Parts, say: Say, steps: int) -> Answer:
    """The last steps of an epoch; of several where one has fewer."""
    state, total = parts.state, parts.steps_per_epoch
    samples, waited_s, began_s = state.samples, state.waited_s, time.perf_counter()
    while steps > 0:
        epoch = state.step // total
        state.step = (epoch + 1) * total - min(steps, total)
        steps -= total
        train_epoch(parts, epoch, Clock(parts, say))
    return Answer(state.samples - samples, time.perf_counter() - began_s, state.waited_s - waited_s)


def _step(parts: Parts, steps: int) -> Answer:
    recipe, world = parts.recipe, parts.world
    order = permutation(len(parts.train.images), recipe.seed, 0)
    shares = step_shares(order, 0, recipe.batch_size, recipe.accumulation, world.rank, world.size)
    batches = itertools.cycle([(share, parts.train.gather(share)) for share in shares])
    parts.parallel.train()
    began_s, samples = time.perf_counter(), 0
    for _ in range(steps):
        loss, seen = train_step(parts, 0, 0, batches)
        samples += seen
    loss.item()  # pyright: ignore[reportPossiblyUnboundVariable]
    return Answer(samples, time.perf_counter() - began_s)
