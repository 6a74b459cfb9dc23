"""Who is measured against whom, in turn."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.loops.asking import Asked, side
from benchmarks.loops.cases import (
    IN_MEMORY,
    LIGHTNING,
    ONE,
    OURS,
    PLAIN,
    RAY,
    TUTORIAL,
    TWO,
    WAITING,
    Case,
    ray_measure,
    time_measure,
    workers_measure,
)
from benchmarks.loops.questions import Answer, Question
from benchmarks.measuring import Sample, in_turn

UNIT = "samples/s"


def against_others(project: Path, case: Case, pairs: int) -> list[Sample]:
    """Our loop, our step on one batch, a tutorial's loop, Lightning's; and what of our time was waiting."""
    loop = Question(case.steps, case.warm_up_steps)
    step = replace(loop, what="step")
    others = Question(case.others_steps, case.warm_up_steps)
    answers: list[Answer] = []
    with ExitStack() as stack:
        up = {
            name: stack.enter_context(side(project, case.run, name)) for name in (OURS, TUTORIAL, LIGHTNING)
        }
        _warm_up(up[OURS], loop, step)
        _warm_up(up[TUTORIAL], Question(1))
        _warm_up(up[LIGHTNING], Question(1))
        sides: dict[str, Callable[[], float]] = {
            OURS: partial(_samples_per_s, up[OURS], loop, answers),
            IN_MEMORY: partial(_samples_per_s, up[OURS], step),
            TUTORIAL: partial(_samples_per_s, up[TUTORIAL], others),
            LIGHTNING: partial(_samples_per_s, up[LIGHTNING], others),
        }
        samples = in_turn(case.run, UNIT, sides, pairs)
    return samples + _times(case.run, answers)


def plain_against_ray(project: Path, run: str, steps: int, pairs: int) -> list[Sample]:
    """The engine by itself, and as the one worker of Ray Train in its local mode."""
    return _pair(project, ray_measure(run), {PLAIN: run, RAY: run}, steps, pairs)


def one_against_two(project: Path, run: str, steps: int, pairs: int) -> list[Sample]:
    """One worker of one thread, and two Ray workers of one thread each."""
    return _pair(project, workers_measure(run), {ONE: f"{run}-1", TWO: f"{run}-2"}, steps, pairs)


def _pair(project: Path, measure: str, runs: dict[str, str], steps: int, pairs: int) -> list[Sample]:
    question = Question(steps, warm_up_steps=max(1, steps // 10))
    with ExitStack() as stack:
        up = {name: stack.enter_context(side(project, run, name)) for name, run in runs.items()}
        for asked in up.values():
            _warm_up(asked, question)
        return in_turn(
            measure, UNIT, {name: partial(_samples_per_s, up[name], question) for name in up}, pairs
        )


def _warm_up(asked: Asked, *questions: Question) -> None:
    for question in questions:
        asked.answer(question)


def _samples_per_s(asked: Asked, question: Question, answers: list[Answer] | None = None) -> float:
    answer = asked.answer(question)
    if answers is not None:
        answers.append(answer)
    return answer.samples_per_s


def _times(run: str, answers: list[Answer]) -> list[Sample]:
    """Seconds of our loop, and of them those that it waited for data."""
    measure = time_measure(run)
    return [
        Sample(measure, pair, name, seconds, "s")
        for pair, answer in enumerate(answers)
        for name, seconds in ((OURS, answer.elapsed_s), (WAITING, answer.waited_s))
    ]
