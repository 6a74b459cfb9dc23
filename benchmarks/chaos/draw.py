"""What is killed, and when: a pure function of the seed and the trial's number."""

import random
from collections.abc import Callable
from dataclasses import dataclass

Command = tuple[str, ...]
# As `make` puts it in the place of `.venv/bin/dvc`, and as the flow runs it.
DVC = ("-P", "flows/stages/patient_dvc.py", "repro")
FLOW = ("-m", "flows.reproduce")


@dataclass(frozen=True)
class AtEvent:
    """A process kills itself, just before something that it does for the nth time (see hook/)."""

    process: str
    event: str
    path: str
    nth: int

    def __str__(self) -> str:
        return f"{self.process}: {self.event} {self.path} #{self.nth}"


@dataclass(frozen=True)
class AtStep:
    """Killed from outside, as soon as the journal tells of this step."""

    step: int

    def __str__(self) -> str:
        return f"step {self.step}"


@dataclass(frozen=True)
class AtLine:
    """Killed from outside, as soon as the command has said this."""

    text: str

    def __str__(self) -> str:
        return f"at '{self.text}'"


@dataclass(frozen=True)
class AtBytes:
    """Killed from outside, when so much of the archive has come; then the mirror holds its breath."""

    chunks: int

    def __str__(self) -> str:
        return f"after {self.chunks} chunks of the archive"


Moment = AtEvent | AtStep | AtLine | AtBytes


@dataclass(frozen=True)
class Kind:
    """A kind of kill."""

    name: str
    weight: int
    """How often it is drawn, against the others."""
    begins: str
    """Where the project stands: a key of `project.STAGES`."""
    command: Command
    victims: str
    """Whom to kill: a key of `victims.VICTIMS`; "itself" for moments that only the victim knows."""
    moment: Callable[[random.Random], Moment]
    workers: int = 1
    goes_on: bool = False
    """The command may outlive what is killed."""
    spares_training: bool = False
    """What is killed has no part in training, which goes on meanwhile."""


@dataclass(frozen=True)
class Trial:
    """One kill, or several one after the other, and then the same command until it succeeds."""

    number: int
    kinds: tuple[Kind, ...]
    moments: tuple[Moment, ...]


def draw(seed: int, number: int, kinds: tuple[Kind, ...]) -> Trial:
    """The trial *number* of *seed*."""
    generator = random.Random(f"{seed}/{number}")
    (kind,) = generator.choices(kinds, [kind.weight for kind in kinds])
    return Trial(number, (kind,), (kind.moment(generator),))
