"""What was asked for, turned into stages to walk, and the walk's end into something to read."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.walking.graph import Stage, read_stages, select
from flows.walking.workspace import workspace
from regatta.errors import RegattaError, nearest
from regatta.settings.card import ProblemName
from regatta.settings.course import PARAMS, Course, read_course


@dataclass(frozen=True)
class Plan:
    """Stages to bring up to date, and where."""

    root: Path
    """The project, or the workspace that overrides were given."""
    problems: tuple[ProblemName, ...]
    """Those that the stages are about, in the order of params.yaml."""
    stages: tuple[Stage, ...]

    @property
    def is_done(self) -> bool:
        """Nothing has to be run or restored."""
        return not any(stage.changed for stage in self.stages)


@contextmanager
def planned(
    runs: tuple[str, ...], overrides: tuple[str, ...], problem: ProblemName | None = None
) -> Generator[Plan]:
    """The plan for *runs* (all of the *problem*'s when there are none; all there are without a problem).

    Overrides are settings of params.yaml (`defaults.epochs=5`) for this time only.

    Raises:
        RegattaError: unknown run, or settings that do not fit; nothing has been run then.
    """
    root = Path.cwd()
    wanted = _wanted(read_course(root / PARAMS), runs, problem)
    if overrides:
        with workspace(root, overrides) as folder:
            yield _plan(folder, wanted)
    else:
        yield _plan(root, wanted)


def _wanted(
    course: Course, runs: tuple[str, ...], problem: ProblemName | None
) -> Mapping[str, ProblemName] | None:
    """Problem of each run that is wanted; None for the whole graph."""
    if not runs and problem is None:
        return None
    known: dict[str, ProblemName] = {
        name: run.problem for name, run in course.runs.items() if problem in (None, run.problem)
    }
    if not known:
        raise RegattaError(f"params.yaml: no run is about {problem}")
    for name in runs:
        if name not in known:
            kind = f"{problem} run" if problem else "run"
            raise RegattaError(f"params.yaml: no {kind} '{name}': {nearest(name, known)}")
    return {name: known[name] for name in runs} if runs else known


def _plan(root: Path, wanted: Mapping[str, ProblemName] | None) -> Plan:
    course = read_course(root / PARAMS)
    stages = read_stages(root)
    if wanted is None:
        return Plan(root, course.problems, stages)
    problems: tuple[ProblemName, ...] = tuple(p for p in course.problems if p in wanted.values())
    return Plan(root, problems, select(stages, wanted))
