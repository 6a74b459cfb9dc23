"""What is measured, and for how long."""

from dataclasses import dataclass

from benchmarks.measuring import Goal


@dataclass(frozen=True)
class Case:
    """A run of `params.yaml` beside this file, and how many steps one measurement of it takes."""

    run: str
    at_least: float
    """So many times the samples a second of a tutorial's loop, and of Lightning's."""
    steps: int
    """Of the engine."""
    others_steps: int
    """Of the others, which are slower."""
    warm_up_steps: int
    """Before each measurement: a DataLoader's processes are to be at work by then, and what slept awake."""
    often: int = 1
    """So many times the pairs of others: short steps feel every other process of the machine."""


OURS, IN_MEMORY, TUTORIAL, LIGHTNING = "ours", "one batch in memory", "tutorial's loop", "Lightning"
WAITING = "waiting for data"
PLAIN, RAY = "plain engine", "one Ray Train worker"
ONE, BESIDE = "1 × 1", "two of 1 × 1 at once"
SHARING, EACH = "2 × 1 that share a batch", "2 × 1 with a batch each"

CASES = (
    Case("mlp", 3, steps=300, others_steps=100, warm_up_steps=30, often=3),
    Case("cnn", 3, steps=300, others_steps=100, warm_up_steps=30, often=3),
    Case("lenet", 3, steps=150, others_steps=75, warm_up_steps=20, often=3),
    Case("resnet18", 1.2, steps=1, others_steps=1, warm_up_steps=1),
    Case("unet", 1.2, steps=3, others_steps=3, warm_up_steps=1),
    Case("fpn", 1.2, steps=3, others_steps=3, warm_up_steps=1),
)
RAY_STEPS, RAY_OFTEN = {"mlp": 300, "cnn": 300}, 3
"""Nets of short steps, where anything that Ray Train adds to each would be felt."""
WORKERS_STEPS = {"unet": 4, "resnet18": 4}
TWO_WORKERS = {SHARING: "2", EACH: "2-each"}
"""How the runs of two workers end, in `params.yaml`."""


def goals_of(case: Case) -> list[Goal]:
    """What the engine's loop is to reach in *case*."""
    return [
        Goal(case.run, OURS, TUTORIAL, at_least=case.at_least),
        Goal(case.run, OURS, LIGHTNING, at_least=case.at_least),
        Goal(memory_measure(case.run), OURS, IN_MEMORY, at_least=0.97),
        Goal(time_measure(case.run), WAITING, OURS, at_most=0.02),
    ]


def goals_of_ray(run: str) -> list[Goal]:
    """What one Ray Train worker is to reach."""
    return [Goal(ray_measure(run), RAY, PLAIN, at_least=0.98)]


def goals_of_workers(run: str, two: str) -> list[Goal]:
    """What two workers are to reach; two cores could give 2, and give what two runs at once reach."""
    measure = workers_measure(run, two)
    return [Goal(measure, two, ONE, at_least=1.8), Goal(measure, BESIDE, ONE), Goal(measure, two, BESIDE)]


def time_measure(run: str) -> str:
    return f"{run}: time of the loop"


def memory_measure(run: str) -> str:
    return f"{run}: in memory"


def ray_measure(run: str) -> str:
    return f"{run}: Ray Train"


def workers_measure(run: str, two: str) -> str:
    return f"{run}: workers × threads" + (", a batch each" if two == EACH else "")
