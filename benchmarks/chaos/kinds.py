"""The kinds of kill, how often each is drawn, and where its moment may lie.

A moment that does not come (a change of the code has moved it) shows as a trial without a kill: the record
counts it among the other faults, and the tests refuse it.
"""

import random
from collections.abc import Callable

from benchmarks.chaos.draw import DVC, FLOW, AtBytes, AtEvent, AtLine, AtStep, Kind, Moment
from benchmarks.chaos.project import DATASET, PROBLEM, RUN, STAGES

STEPS = 290
"""Of the run's 300: late enough, but not over."""
UNFINISHED = r"\.(partial|former)"
PUBLISHED = rf"^(trained|journals/\w+)/\.{RUN}\.partial"

Draw = Callable[[random.Random], Moment]


def _step(generator: random.Random) -> Moment:
    return AtStep(generator.randint(1, STEPS))


def _one_of(*draws: Draw) -> Draw:
    return lambda generator: generator.choice(draws)(generator)


def _event(process: str, event: str, path: str, up_to: int) -> Draw:
    return lambda generator: AtEvent(process, event, path, generator.randint(1, up_to))


def _stage_begins(generator: random.Random) -> Moment:
    stage = generator.choice([STAGES[standing] for standing in ("evaluated", "reported", "tracked")])
    return AtLine(f"Running stage '{stage}'")


def _again(task: str, folder: str) -> Draw:
    """A step over its former output, which has to make room: at a rename, or at removing what made room."""
    return _one_of(
        _event(f"tasks.{task}", "os.rename", rf"^{folder}/", 2),
        _event(f"tasks.{task}", "shutil.rmtree", rf"^{folder}/", 1),
    )


CHECKPOINT = _one_of(
    _event("tasks.train", "os.mkdir", r"checkpoints/\.", 10),
    _event("tasks.train", "open", r"checkpoints/\..*state\.json", 10),
    _event("tasks.train", "os.rename", r"checkpoints/\.", 10),
    _event("tasks.train", "shutil.rmtree", r"checkpoints/\d", 8),
)
JOURNAL = _event("tasks.train", "write", r"journal\.jsonl$", 150)
PUBLISHING = _one_of(
    _event("tasks.train", "os.rename", r"\.(last|outcome)\..*partial", 2),
    _event("tasks.train", "open", rf"{PUBLISHED}.*/", 6),
    _event("tasks.train", "os.rename", PUBLISHED, 2),
    _event("tasks.train", "shutil.rmtree", r"runs/\w+/checkpoints$", 1),
    _event("tasks.train", "os.rename", r"runs/\w+$", 1),
)
DOWNLOAD = _one_of(
    lambda generator: AtBytes(generator.randint(1, 5)),
    _event("tasks.download", "open", rf"raw/\.{DATASET}\.partial.*png", 600),
    _event("tasks.download", "os.rename", UNFINISHED, 2),
)
PACKING = _one_of(
    _event("tasks.preprocess", "open", rf"packed/\.{DATASET}\.partial", 20),
    _event("tasks.preprocess", "os.rename", UNFINISHED, 1),
)
EVALUATION = _one_of(
    _event("tasks.evaluate", "open", UNFINISHED, 24),
    _event("tasks.evaluate", "os.rename", UNFINISHED, 2),
    _event("tasks.evaluate", "shutil.rmtree", r"finished/\.", 1),
)
REPORT = _one_of(
    _event("tasks.report", "open", UNFINISHED, 2),
    _event("tasks.report", "os.rename", UNFINISHED, 1),
)
SYNC = _one_of(
    _event("tasks.track", "sql", "", 250),
    _event("tasks.track", "open", "mlartifacts", 40),
    _event("tasks.track", "os.rename", UNFINISHED, 2),
)
DVC_FILES = _one_of(
    _event(DVC[1], "write", r"dvc\.lock|rwlock", 20),
    _event(DVC[1], "os.rename", r"dvc\.lock|rwlock", 3),
    _event(DVC[1], "open", r"\.dvc/", 30),
)


def _course(name: str, weight: int, victims: str, moment: Draw) -> Kind:
    return Kind(name, weight, "packed", DVC, victims, moment)


def _stage(name: str, weight: int, begins: str, stage: str, moment: Draw, victims: str = "itself") -> Kind:
    return Kind(name, weight, begins, (*DVC, stage), victims, moment)


def _step_again(name: str, weight: int, *command: str, moment: Draw) -> Kind:
    return Kind(name, weight, "tracked", ("-m", *command), "itself", moment)


def _on_ray(name: str, weight: int, victims: str) -> Kind:
    return Kind(name, weight, "packed", DVC, victims, _step, workers=2, goes_on=True)


SOMEWHERE: Draw = _one_of(_step, _step, _stage_begins)

KINDS: tuple[Kind, ...] = (
    _course("the stage's process", 30, "stage", _step),
    _course("dvc alone", 16, "root", SOMEWHERE),
    _course("the whole dvc repro", 14, "all", SOMEWHERE),
    _course("in a checkpoint", 22, "itself", CHECKPOINT),
    _course("in the journal's append", 12, "itself", JOURNAL),
    _course("in publishing", 12, "itself", PUBLISHING),
    _stage("in download", 16, "checked", f"download@{DATASET}", DOWNLOAD, victims="download"),
    _stage("in packing", 14, "raw", f"preprocess@{DATASET}", PACKING),
    _stage("in evaluation", 14, "trained", f"evaluate@{RUN}", EVALUATION),
    _stage("in the report", 8, "evaluated", f"report@{PROBLEM}", REPORT),
    _stage("in the MLflow sync", 20, "reported", f"track@{PROBLEM}", SYNC),
    _stage("in DVC's own files", 8, "raw", f"preprocess@{DATASET}", DVC_FILES),
    _step_again("packing again", 5, "tasks.preprocess", DATASET, moment=_again("preprocess", "data/packed")),
    _step_again("evaluating again", 3, "tasks.evaluate", RUN, moment=_again("evaluate", "results")),
    Kind("the flow", 9, "packed", FLOW, "root", _step),
    Kind("a forked DVC, or what forks it", 9, "packed", FLOW, "fork", _step),
    Kind(
        *("the embedded Prefect server", 5, "packed", FLOW, "server", _step),
        goes_on=True,
        spares_training=True,
    ),
    _on_ray("one Ray worker of two", 5, "worker"),
    _on_ray("the whole Ray worker group", 3, "group"),
    _on_ray("the raylet of a second node", 3, "raylet"),
)
