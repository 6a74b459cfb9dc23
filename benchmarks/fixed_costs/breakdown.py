"""Where each second of a stage goes, from the marks that its processes left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXITED = "exited"
"""The mark that its caller makes of a stage."""
Marks = Mapping[str, float]
"""Of one process: when each mark was made first, in seconds of Unix time."""


@dataclass(frozen=True)
class Part:
    """What happens until a mark; it begins where the part before ends."""

    what: str
    process: str
    mark: str


STAGE = (
    Part("Python starts; pydantic and what else comes before torch", "stage", "import torch"),
    Part("import torch", "stage", "imported torch"),
)
LEARNING = "the network, its data and its weights; its operations are counted"
ENDING = (
    Part("the outputs are put in place", "stage", "ended"),
    Part("Python ends", "stage", EXITED),
)
SETTINGS = "modules of the project; settings; data are verified"
ONE_WORKER = (
    *STAGE,
    Part(f"{SETTINGS}; {LEARNING}", "stage", "placed outcome.json"),
    *ENDING,
)
TWO_WORKERS = (
    *STAGE,
    Part(SETTINGS, "stage", "import ray"),
    Part("import ray", "stage", "imported ray"),
    Part("the stage is taken in by Ray", "stage", "import regatta.cluster.trainer"),
    Part("import ray.train.torch", "stage", "imported regatta.cluster.trainer"),
    Part("Ray starts a process for the controller", "controller", "began"),
    Part("the controller: import ray.train", "controller", "imported ray.train"),
    Part("the controller asks for workers; Ray starts their processes", "worker", "began"),
    Part("workers: import ray.train", "worker", "imported ray.train"),
    Part("workers are told who they are; import torch", "worker", "imported torch"),
    Part("workers meet; modules of the project", "worker", "opened 0.log"),
    Part(LEARNING, "worker", "placed outcome.json"),
    Part("Ray Train notices, ends the workers and the controller; Ray lets go", "stage", "placed two"),
    *ENDING,
)


def read_marks(folder: Path) -> list[Marks]:
    """The first time of each mark, for every process, in the order in which they began."""
    return sorted(map(_marks, folder.glob("*.jsonl")), key=lambda marks: marks["began"])


def _marks(path: Path) -> Marks:
    marks: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        mark = json.loads(line)
        marks.setdefault(mark["what"], mark["time_s"])
    return marks


def processes(marks: Sequence[Marks]) -> dict[str, Marks]:
    """The stage, which began first, and on Ray its controller and its leading worker, by what they did."""
    stage, *others = marks
    if not others:
        return {"stage": stage}
    worker = next(each for each in others if "opened 0.log" in each)
    return {"stage": stage, "controller": others[0], "worker": worker}


def seconds(parts: Sequence[Part], folder: Path, began_s: float, exited_s: float) -> list[tuple[str, float]]:
    """Name and seconds of each part of a stage that left its marks in *folder*, from command to exit."""
    found = processes(read_marks(folder))
    found["stage"] = {**found["stage"], EXITED: exited_s}
    ends_s = [found[part.process][part.mark] for part in parts]
    return [
        (part.what, until_s - since_s)
        for part, since_s, until_s in zip(parts, [began_s, *ends_s], ends_s, strict=False)
    ]
