"""A run's steps as its training does them, by the engine's own loop, marked from outside.

What the engine is handed is wrapped: the feed, the network by hooks, the loss, the step of the optimiser,
and the beat after each step. So the loop that trains carries nothing for it.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import count, repeat

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function

from regatta.engine.clock import Clock
from regatta.engine.feed import Feed
from regatta.engine.job import Job
from regatta.engine.order import Share, permutation, step_shares
from regatta.engine.parts import Parts, assemble
from regatta.engine.step import train_step
from regatta.engine.training import train_epoch
from regatta.engine.world import World
from regatta.problems.batch import Batch
from regatta.problems.problem import Problem, Targets
from regatta.profiling.timeline import Part, Timeline, Times
from regatta.settings.recipe import Recipe

Enough = Callable[[int, float], bool]
"""Whether a round that has done (steps, in seconds) is over."""


class _Over(Exception):
    """Leaves an epoch after the last step that is wanted of it."""


@dataclass
class Rehearsal:
    """A run's network, data and state, ready for rounds of steps. Made by `rehearsing`."""

    parts: Parts
    timeline: Timeline

    def train(self, enough: Enough, after_step: Callable[[], None] = lambda: None) -> list[Times]:
        """A round of the engine's loop, with logging and checkpoints, without validation.

        Gives the seconds by part of each step but the first, in which the round is set up.
        """
        parts = replace(self.parts, world=replace(self.parts.world, beat=self._beat(enough, after_step)))
        try:
            for epoch in count(parts.state.step // parts.steps_per_epoch):
                train_epoch(parts, epoch, Clock(parts, lambda line: None))
        except _Over:
            pass
        return self.timeline.take()

    def train_in_memory(self, enough: Enough) -> list[Times]:
        """A round of the same steps, each on the same batch, which is there already; without logging."""
        batches, beat = repeat(self.first_batch()), self._beat(enough, lambda: None)
        marked = _marked_batches(batches, self.timeline)
        try:
            for step in count():
                train_step(self.parts, 0, step, marked)
                self.parts.state.step += 1
                beat()
        except _Over:
            pass
        return self.timeline.take()

    def first_batch(self) -> tuple[Share, Batch]:
        """The first batch of the first epoch."""
        recipe = self.parts.recipe
        order = permutation(len(self.parts.train.images), recipe.seed, 0)
        share = step_shares(order, 0, recipe.batch_size, recipe.accumulation, 0, 1)[0]
        return share, self.parts.train.gather(share)

    def _beat(self, enough: Enough, after_step: Callable[[], None]) -> Callable[[], None]:
        steps, began_s = count(1), time.perf_counter()

        def beat() -> None:
            self.timeline.end_range()
            after_step()
            self.timeline.enter("between steps")
            if enough(next(steps), time.perf_counter() - began_s):
                self.timeline.end_range()
                raise _Over

        return beat


@dataclass
class _MarkedFeed(Feed):
    timeline: Timeline = field(kw_only=True)

    def batches(self, shares: Iterable[Share]) -> Iterator[tuple[Share, Batch]]:
        return _marked_batches(super().batches(shares), self.timeline)

    def gather_all(self, shares: Sequence[Share]) -> list[Batch]:
        """Shown in a trace also where another thread gathers ahead."""
        with record_function("gather") if self.timeline.in_trace else nullcontext():
            return super().gather_all(shares)


@contextmanager
def rehearsing(job: Job, network: nn.Module, world: World) -> Generator[Rehearsal, None, None]:
    """A rehearsal of *job*, which must have an empty folder: what training writes is written there."""
    parts, timeline = assemble(job, network, world), Timeline(world.device)
    parts.parallel.register_forward_pre_hook(_entering(timeline, "forward"))
    parts.parallel.register_forward_hook(_entering(timeline, "loss"))
    _mark_steps(parts.optimiser, timeline)
    problem = replace(parts.examiner.problem, loss=_marked_loss(parts.examiner.problem, timeline))
    feed = _MarkedFeed(parts.train.images, parts.train.targets, parts.train.device, timeline=timeline)
    parts = replace(parts, train=feed, examiner=replace(parts.examiner, problem=problem))
    with closing(parts.journal) if parts.journal else nullcontext():
        yield Rehearsal(parts, timeline)


def _entering(timeline: Timeline, part: Part) -> Callable[..., None]:
    """A hook that begins *part*, whatever it is called with."""

    def enter(*what: object) -> None:
        del what
        timeline.enter(part)

    return enter


def _mark_steps(optimiser: Optimizer, timeline: Timeline) -> None:
    """From before the range that torch itself opens for a step: no range may end in another's middle."""
    step = optimiser.step

    def marked() -> None:
        timeline.enter("update")
        step()

    setattr(optimiser, "step", marked)  # noqa: B010  # as torch's schedulers do


def _marked_batches(
    batches: Iterable[tuple[Share, Batch]], timeline: Timeline
) -> Iterator[tuple[Share, Batch]]:
    coming = iter(batches)
    while True:
        timeline.enter("wait for data")
        arrived = next(coming, None)
        if arrived is None:
            return
        timeline.enter("augment, normalise")
        yield arrived


def _marked_loss(problem: Problem, timeline: Timeline) -> Callable[[Tensor, Batch, Targets, Recipe], Tensor]:
    def loss(logits: Tensor, batch: Batch, targets: Targets, recipe: Recipe) -> Tensor:
        losses_B = problem.loss(logits, batch, targets, recipe)
        timeline.enter("backward")
        return losses_B

    return loss
