"""One trial: a copy of the project, a kill, the same command again, and what it all came to."""

import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from benchmarks.chaos import processes, project
from benchmarks.chaos.attempt import LONGEST_S, Blow, Place, stands_again, started, struck, wait_for
from benchmarks.chaos.draw import DVC, AtBytes, Kind, Moment, Trial
from benchmarks.chaos.judge import Verdict, judged
from benchmarks.chaos.mirror import CHUNK_BYTES, serving
from benchmarks.chaos.nodes import two_nodes
from benchmarks.chaos.processes import Watch
from benchmarks.chaos.project import Course
from benchmarks.chaos.remains import read_remains


@dataclass(frozen=True)
class Result:
    """What a trial came to."""

    trial: Trial
    blows: tuple[Blow, ...]
    verdict: Verdict
    recover_s: float | None
    """From the last kill until work stood where it had stood: the journal beyond the step that it had
    reached, or the command done where training was not touched. None where nothing had to recover."""
    seconds: float


def run_trial(trial: Trial, course: Course, folder: Path, seed: int) -> Result:
    """Run *trial* in *folder*."""
    began_s = time.monotonic()
    last = trial.kinds[-1]
    with _place(trial, course, folder, seed) as place:
        blows = tuple(blow for kills in _attempts(trial) for blow in struck(place, kills))
        code, again_s = _again(place, last, blows[-1])
        if code == 0 and last.command[: len(DVC)] != DVC:
            code, _ = _again(place, replace(last, command=DVC), blows[-1])
        verdict = judged(read_remains(place.project), course.remains, blows, code)
    recover_s = again_s - blows[-1].at_s if blows[-1].again_s is None else blows[-1].again_s
    unharmed = blows[-1].survived and last.spares_training
    return Result(trial, blows, verdict, None if unharmed else recover_s, time.monotonic() - began_s)


@contextmanager
def _place(trial: Trial, course: Course, folder: Path, seed: int) -> Generator[Place]:
    shutil.rmtree(folder, ignore_errors=True)
    copy = course.copy(trial.kinds[0].begins, folder / "project")
    mark = f"{folder}-{seed}-{trial.number}"
    with ExitStack() as stack:
        env = {**project.environment(copy), processes.MARK: mark}
        env["REGATTA_MIRROR"] = stack.enter_context(serving(course.folder / "mirror", _pause(trial.moments)))
        nodes = None
        if any(kind.victims == "raylet" for kind in trial.kinds):
            nodes = stack.enter_context(two_nodes(copy, env, f"{mark}-nodes"))
            env |= nodes.ray.env
        yield Place(copy, env, stack.enter_context(Watch(mark)), nodes)


def _attempts(trial: Trial) -> Iterator[list[tuple[Kind, Moment]]]:
    """The kills of each run of the command: those that it outlives can be had in one."""
    kills = list(zip(trial.kinds, trial.moments, strict=True))
    for outlives, group in groupby(kills, lambda kill: kill[0].goes_on):
        those = list(group)
        yield from [those] if outlives else [[kill] for kill in those]


def _pause(moments: tuple[Moment, ...]) -> int | None:
    """After how many bytes the mirror is to wait for a kill."""
    return next((m.chunks * CHUNK_BYTES for m in moments if isinstance(m, AtBytes)), None)


def _again(place: Place, kind: Kind, blow: Blow) -> tuple[int, float]:
    """The same command once more: its exit code, and the moment when work stood where it had stood."""
    with started(place, kind.command) as process:
        wait_for(lambda: process.poll() is not None or stands_again(place.project, blow.standing), LONGEST_S)
        stood_s = time.monotonic()
        wait_for(lambda: process.poll() is not None, LONGEST_S)
        code = process.poll()
    return (1 if code is None else code), stood_s
