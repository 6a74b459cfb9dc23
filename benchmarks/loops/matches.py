"""Who is measured against whom, in turn."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.loops.asking import Asked, side
from benchmarks.loops.cases import (
    BESIDE,
    IN_MEMORY,
    LIGHTNING,
    ONE,
    OURS,
    PLAIN,
    RAY,
    TUTORIAL,
    TWO_WORKERS,
    WAITING,
    Case,
    memory_measure,
    ray_measure,
    time_measure,
    workers_measure,
)
from benchmarks.loops.questions import Answer, Question
from benchmarks.measuring import Sample, in_turn

UNIT = "samples/s"


def against_others(project: Path, case: Case, pairs: int) -> list[Sample]:
    """Our loop, a tutorial's, Lightning's; then our loop and our step on one batch; what of it was waiting.

    One batch has a match of its own: who has slept while others measured begins slower.
    """
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
            TUTORIAL: partial(_samples_per_s, up[TUTORIAL], others),
            LIGHTNING: partial(_samples_per_s, up[LIGHTNING], others),
        }
        samples = in_turn(case.run, UNIT, sides, pairs)
        alone: dict[str, Callable[[], float]] = {
            OURS: partial(_samples_per_s, up[OURS], loop, answers),
            IN_MEMORY: partial(_samples_per_s, up[OURS], step),
        }
        samples += in_turn(memory_measure(case.run), UNIT, alone, pairs)
    return samples + _times(case.run, answers)


def plain_against_ray(project: Path, run: str, steps: int, pairs: int) -> list[Sample]:
    """The engine by itself, and as the one worker of a Ray."""
    question = Question(steps, warm_up_steps=max(1, steps // 10))
    with _up(project, {PLAIN: run, RAY: run}, question) as up:
        sides = {name: partial(_samples_per_s, asked, question) for name, asked in up.items()}
        return in_turn(ray_measure(run), UNIT, sides, pairs)


def one_against_two(project: Path, run: str, two: str, steps: int, pairs: int) -> list[Sample]:
    """One worker of one thread; two Ray workers of one thread each; two runs of one that share nothing.

    Two workers that share a batch and two with one each have a match of their own: an idle Ray is not idle.
    """
    question = Question(steps, warm_up_steps=1)
    runs = {ONE: f"{run}-1", two: f"{run}-{TWO_WORKERS[two]}", BESIDE: f"{run}-1"}
    with _up(project, runs, question) as up:
        sides: dict[str, Callable[[], float]] = {
            ONE: partial(_samples_per_s, up[ONE], question),
            two: partial(_samples_per_s, up[two], question),
            BESIDE: partial(_samples_per_s_together, (up[ONE], up[BESIDE]), question),
        }
        return in_turn(workers_measure(run, two), UNIT, sides, pairs)


@contextmanager
def _up(project: Path, runs: dict[str, str], question: Question) -> Generator[dict[str, Asked], None, None]:
    """Each side that *runs* names, with its run, after it has answered *question* once."""
    with ExitStack() as stack:
        up = {name: stack.enter_context(side(project, run, name)) for name, run in runs.items()}
        for asked in up.values():
            _warm_up(asked, question)
        yield up


def _samples_per_s_together(several: Sequence[Asked], question: Question) -> float:
    with ThreadPoolExecutor(len(several)) as threads:
        return sum(threads.map(_samples_per_s, several, [question] * len(several)))


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
