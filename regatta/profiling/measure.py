"""A run's profile: rounds of its own steps and of steps in memory, in turn; then a trace; then the limits."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regatta.engine.parts import save_checkpoint
from regatta.profiling.limits import Machine, Work, best, limits_of, machine_of, precision_of, work_of
from regatta.profiling.rehearsal import Rehearsal
from regatta.profiling.timeline import PARTS, Part, Times, mean_times
from regatta.profiling.trace import Operator, record

ROUNDS = 3
WARM_UP_STEPS = 5


@dataclass(frozen=True)
class Profile:
    """Where the time of a run's steps goes. Times are those of one step, in seconds."""

    times: Times
    """Mean, so that what comes only now and then, like logging, has its share."""
    in_memory: Times
    """The same steps on one batch that is there already, without logging."""
    median_s: float
    median_in_memory_s: float
    limits: Times
    steps: int
    """Measured."""
    samples_per_step: float
    checkpoint_s: float
    machine: Machine
    work: Work
    precision: str
    operators: tuple[Operator, ...]

    @property
    def step_s(self) -> float:
        return sum(self.times.values())

    @property
    def largest(self) -> Part:
        """The part that takes longest."""
        return max(PARTS, key=lambda part: self.times[part])


def profiled(rehearsal: Rehearsal, trace: Path, round_s: float, say: Callable[[str], None]) -> Profile:
    """Profile *rehearsal*, whose rounds last about *round_s*, and record *trace* (`….json.gz`)."""
    parts = rehearsal.parts
    say("warming up")
    rehearsal.train(lambda steps, _: steps >= WARM_UP_STEPS)
    precision = precision_of(parts)
    rounds = [_round(rehearsal, precision, round_s, f"round {n + 1}/{ROUNDS}", say) for n in range(ROUNDS)]
    real = [times for round in rounds for times in round.real]
    in_memory = [times for round in rounds for times in round.in_memory]
    say("recording a trace")
    operators = record(rehearsal, trace)
    machine = best([round.machine for round in rounds])
    work = work_of(parts, rehearsal.first_batch()[1])
    return Profile(
        times=mean_times(real),
        in_memory=mean_times(in_memory),
        median_s=_median_s(real),
        median_in_memory_s=_median_s(in_memory),
        limits=limits_of(work, machine, parts.recipe.accumulation),
        steps=len(real),
        samples_per_step=len(parts.train.images) / parts.steps_per_epoch,
        checkpoint_s=_checkpoint_s(rehearsal),
        machine=machine,
        work=work,
        precision=precision,
        operators=operators,
    )


@dataclass(frozen=True)
class _Round:
    real: list[Times]
    in_memory: list[Times]
    machine: Machine


def _round(
    rehearsal: Rehearsal, precision: str, round_s: float, name: str, say: Callable[[str], None]
) -> _Round:
    """What is compared is measured at the same time: steps, steps in memory, and peaks."""
    every = rehearsal.parts.recipe.log_every_steps
    say(name)
    # Whole logging intervals, so that logging has its true share; but no round of minutes.
    real = rehearsal.train(lambda n, s: s > 10 * round_s or (s > round_s and (n - 1) % every == 0))
    in_memory = rehearsal.train_in_memory(lambda n, s: n > 1 and s > round_s)
    return _Round(real, in_memory, machine_of(rehearsal.parts.world.device, precision))


def _median_s(steps: list[Times]) -> float:
    return statistics.median(sum(times.values()) for times in steps)


def _checkpoint_s(rehearsal: Rehearsal) -> float:
    began_s = time.perf_counter()
    save_checkpoint(rehearsal.parts)
    return time.perf_counter() - began_s
