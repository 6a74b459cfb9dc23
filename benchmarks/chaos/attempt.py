"""One run of a command: started, killed at its moment, watched to its end."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from psutil import Process

from benchmarks.chaos import processes, standing
from benchmarks.chaos.draw import AtBytes, AtEvent, AtLine, AtStep, Kind, Moment
from benchmarks.chaos.mirror import CHUNK_BYTES
from benchmarks.chaos.nodes import Nodes
from benchmarks.chaos.processes import Watch
from benchmarks.chaos.victims import VICTIMS, workers_of

POLL_S = 0.01
GONE_WITHIN_S = 10.0
"""So long may what was started outlive its parent."""
LONGEST_S = 420.0
GROUP_ENDS_S = 60.0


@dataclass
class Place:
    """Where a trial works."""

    project: Path
    env: Mapping[str, str]
    watch: Watch
    nodes: Nodes | None = None

    def running(self) -> list[Process]:
        """Every process that could be killed."""
        return self.watch.alive() + (self.nodes.watch.alive() if self.nodes else [])

    def started(self) -> list[Process]:
        """What the command has started that still lives: on the nodes, the workers that are its own."""
        return self.watch.alive() + (workers_of(self.nodes.watch.alive()) if self.nodes else [])

    @property
    def log(self) -> Path:
        return self.project.parent / "output.log"

    @property
    def mark(self) -> Path:
        """Made by a process just before it kills itself."""
        return self.project.parent / "killed"


@dataclass(frozen=True)
class Blow:
    """A kill, and what was seen just after it."""

    killed: bool
    at_s: float
    standing: standing.Standing
    orphans: int = 0
    """Processes that were alive too long after."""
    survived: bool = False
    """The command came to a good end nevertheless."""
    again_s: float | None = None
    """Seconds until work stood again where it had stood, where the command itself went on."""


@contextmanager
def started(place: Place, command: tuple[str, ...], **env: str) -> Generator[subprocess.Popen[bytes]]:
    """`python COMMAND` in the project, in a group of its own; its output is added to the log."""
    with place.log.open("ab") as log:
        log.write(f"\n$ python {' '.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=place.project,
            env={**place.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def struck(place: Place, kills: Sequence[tuple[Kind, Moment]]) -> list[Blow]:
    """Run the kinds' command, kill each victim at its moment, and see what becomes of it.

    Several kills in one run of the command are for kinds that it outlives.
    """
    place.mark.unlink(missing_ok=True)
    said = place.log.stat().st_size if place.log.exists() else 0
    (command,) = {kind.command for kind, _ in kills}
    with started(place, command, **_orders(place, kills[0][1])) as process:
        blows = [_blow(place, process, kind, moment, said) for kind, moment in kills]
        # What was killed may have a parent that goes on, and tells of it.
        wait_for(lambda: process.poll() is not None, LONGEST_S)
        last = replace(blows[-1], orphans=_left_behind(place), survived=process.poll() == 0)
    if not kills[-1][0].goes_on:
        # A stage may have gone on for a moment when its parent was killed.
        last = replace(last, standing=standing.read_standing(place.project))
    return [*blows[:-1], last]


def _blow(
    place: Place, process: subprocess.Popen[bytes], kind: Kind, moment: Moment, said_bytes: int
) -> Blow:
    come = _sign_of(place, moment, said_bytes, time.time())
    wait_for(lambda: come() or process.poll() is not None, LONGEST_S)
    group = [] if kind.spares_training else workers_of(place.running())
    killed, at_s = _strike(place, kind, moment, process.pid), time.monotonic()
    # All workers end when one is lost; only then is it clear how far they got.
    wait_for(lambda: not any(map(processes.lives, group)), GROUP_ENDS_S)
    before = standing.read_standing(place.project)
    if kind.spares_training and before.step is not None:
        before = standing.Standing(before.step, before.step, 0.0)
    if not (killed and kind.goes_on):
        return Blow(killed, at_s, before)
    wait_for(lambda: stands_again(place.project, before) or process.poll() is not None, LONGEST_S)
    recovered = stands_again(place.project, before) or process.poll() == 0
    return Blow(killed, at_s, before, again_s=time.monotonic() - at_s if recovered else None)


def _orders(place: Place, moment: Moment) -> dict[str, str]:
    """The environment that lets a process kill itself."""
    if not isinstance(moment, AtEvent):
        return {}
    return {"CHAOS_KILL": json.dumps(asdict(moment) | {"mark": str(place.mark)})}


def _sign_of(place: Place, moment: Moment, said_bytes: int, began_s: float) -> Callable[[], bool]:
    """What is seen when the moment has come."""
    match moment:
        case AtEvent():
            return place.mark.exists
        case AtStep(step):
            return lambda: standing.last_step(place.project, since_s=began_s) >= step
        case AtLine(text):
            return lambda: text in place.log.read_bytes()[said_bytes:].decode(errors="replace")
        case AtBytes(chunks):
            folder = place.project / ".regatta/downloads"
            return lambda: sum(p.stat().st_size for p in folder.glob("*.partial")) >= chunks * CHUNK_BYTES


def _strike(place: Place, kind: Kind, moment: Moment, root: int) -> bool:
    """Whether somebody was killed."""
    if isinstance(moment, AtEvent):
        return place.mark.exists()
    drawn = moment.step if isinstance(moment, AtStep) else 0
    victims = VICTIMS[kind.victims](place.running(), root, drawn)
    processes.kill(victims)
    if place.nodes and kind.victims == "raylet":
        place.nodes.add_node()
    return bool(victims)


def stands_again(project: Path, before: standing.Standing) -> bool:
    """Whether training is beyond the step that it had reached when it was killed."""
    if before.step is None:
        return False
    return standing.last_step(project) > before.step or standing.is_written_down(project)


def _left_behind(place: Place) -> int:
    """How many processes of the trial live too long; they are killed, so that the trial can go on."""
    wait_for(lambda: not place.started(), GONE_WITHIN_S, look_every_s=0.1)
    left = place.started()
    for one in left:
        with place.log.open("a") as log:
            log.write(f"left behind: {one.pid} {' '.join(processes.command(one))[:200]}\n")
    processes.kill(left)
    return len(left)


def wait_for(happened: Callable[[], bool], longest_s: float, look_every_s: float = POLL_S) -> None:
    """Come back when it has happened, or when it has taken too long."""
    give_up_s = time.monotonic() + longest_s
    while not happened() and time.monotonic() < give_up_s:
        time.sleep(look_every_s)
