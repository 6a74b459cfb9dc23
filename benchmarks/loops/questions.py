"""Asking a process to measure, by files in a folder that both can reach.

Ray's workers have no standard input of ours; and the sides that have one are asked in the same way.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from regatta.whole import whole_file

LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Question:
    """How fast are *steps* steps, after *warm_up_steps* that are not counted?"""

    steps: int
    warm_up_steps: int = 0
    what: Literal["loop", "step"] = "loop"
    """The whole loop; or, of the engine, its step on one batch that is already in memory."""


@dataclass(frozen=True)
class Answer:
    """What was measured."""

    samples: int
    elapsed_s: float
    waited_s: float = 0.0
    """Of these, for data; known of the engine only."""

    @property
    def samples_per_s(self) -> float:
        return self.samples / self.elapsed_s


def answer_all(folder: Path, measure: Callable[[Question], Answer], beat: Callable[[], None]) -> None:
    """Answer each question in *folder* until there is one that asks for nothing."""
    for number, question in _asked(folder, beat):
        answer = measure(question)
        with whole_file(folder / f"{number}.answer") as file:
            file.write_text(json.dumps(asdict(answer)), encoding="utf-8")


def follow_all(folder: Path, measure: Callable[[Question], Answer], beat: Callable[[], None]) -> None:
    """Do what is asked for along with the worker that answers."""
    for _, question in _asked(folder, beat):
        measure(question)


def _asked(folder: Path, beat: Callable[[], None]) -> Iterator[tuple[int, Question]]:
    for number in itertools.count():
        path = folder / f"{number}.question"
        while not path.exists():
            time.sleep(LOOK_EVERY_S)
            beat()
        question = Question(**json.loads(path.read_text(encoding="utf-8")))
        if question.steps == 0:
            return
        yield number, question


def ask(folder: Path, number: int, question: Question) -> None:
    """Put question *number*, counted from 0, into *folder*."""
    with whole_file(folder / f"{number}.question") as file:
        file.write_text(json.dumps(asdict(question)), encoding="utf-8")


def answer_to(folder: Path, number: int) -> Answer | None:
    """The answer to question *number*, if it is there by now."""
    path = folder / f"{number}.answer"
    return Answer(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
