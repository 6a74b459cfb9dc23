"""The parts of a training step, each lasting until the next begins."""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch.profiler import record_function

Part = Literal[
    "between steps", "wait for data", "augment, normalise", "forward", "loss", "backward", "update"
]
PARTS: tuple[Part, ...] = get_args(Part)
FIRST: Part = PARTS[0]
"""Logging, checkpoints, seeds and clearing gradients: a step ends where this begins."""
Times = dict[Part, float]
"""Seconds of one step, by part."""


class Timeline:
    """Which part of a step goes on. A mark costs about a microsecond."""

    def __init__(self, device: torch.device) -> None:
        self.in_trace = False
        """Whether parts show as ranges in a trace that is being recorded."""
        self.on_cuda = device.type == "cuda"
        self._marks: list[tuple[Part, float | torch.cuda.Event]] = []
        self._range: record_function | None = None

    def enter(self, part: Part) -> None:
        """End the part before, and begin *part*."""
        self.end_range()
        self._marks.append((part, self._now()))
        if self.in_trace:
            self._range = record_function(part)
            self._range.__enter__()

    def end_range(self) -> None:
        """Close the range that a trace being recorded shows; a step may end right after it."""
        if self._range is not None:
            self._range.__exit__(None, None, None)
            self._range = None

    def take(self) -> list[Times]:
        """Seconds by part of each whole step since the last call."""
        if self.on_cuda:
            torch.cuda.synchronize()
        marks, self._marks = self._marks, []
        starts = [index for index, (part, _) in enumerate(marks) if part == FIRST]
        return [_summed(marks[start : stop + 1]) for start, stop in pairwise(starts)]

    def _now(self) -> float | torch.cuda.Event:
        """On a GPU the moment at which it gets here, not the host, which runs ahead."""
        if not self.on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def mean_times(steps: Sequence[Times]) -> Times:
    """Mean seconds of each part over *steps*."""
    return {part: sum(step.get(part, 0.0) for step in steps) / len(steps) for part in PARTS}


def _summed(marks: Sequence[tuple[Part, float | torch.cuda.Event]]) -> Times:
    """A part that comes several times, once for each micro-batch, counts together."""
    times: Times = {}
    for part, seconds in _lengths(marks):
        times[part] = times.get(part, 0.0) + seconds
    return times


def _lengths(marks: Sequence[tuple[Part, float | torch.cuda.Event]]) -> Iterator[tuple[Part, float]]:
    for (part, began), (_, ended) in pairwise(marks):
        if isinstance(began, torch.cuda.Event) and isinstance(ended, torch.cuda.Event):
            yield part, began.elapsed_time(ended) / 1000
        elif isinstance(began, float) and isinstance(ended, float):
            yield part, ended - began
