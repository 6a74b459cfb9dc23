"""params.yaml: which data sets, which runs, which settings. This file's values win over a family's recipe."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from regatta.errors import RegattaError, nearest
from regatta.settings.card import NAME, ProblemName
from regatta.settings.reading import Frozen, parse, read_yaml
from regatta.settings.recipe import RECIPE_KEYS, Recipe, layered

PARAMS = Path("params.yaml")


class Run(Frozen):
    """One run as params.yaml gives it: a data set, a family, and what differs from the defaults."""

    name: str
    problem: ProblemName
    dataset: str
    family: str
    options: dict[str, Any] = {}
    """Options of the family itself; the family checks them."""
    changes: dict[str, Any] = {}
    """Recipe keys that this run sets."""

    @field_validator("family")
    @classmethod
    def _no_path(cls, family: str) -> str:
        # DVC's graph reads models/FAMILY.py before anybody looks the family up.
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", family):
            raise ValueError("must be a name, for it is a file's in models/")
        return family


class Course(Frozen):
    """params.yaml, whole. Read with `read_course`."""

    defaults: dict[str, Any]
    problems: Annotated[tuple[ProblemName, ...], Field(min_length=1)]
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    runs: dict[str, Run]

    @field_validator("datasets")
    @classmethod
    def _plain_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check_name(name)
        return names

    def run(self, name: str) -> Run:
        """The run called *name*.

        Raises:
            RegattaError: there is no such run.
        """
        if name not in self.runs:
            raise RegattaError(f"params.yaml: no run '{name}': {nearest(name, self.runs)}")
        return self.runs[name]

    def recipe(self, run: Run, family_recipe: dict[str, Any]) -> Recipe:
        """Every setting of *run*: its own, else `defaults`, else the family's recipe, else Recipe's."""
        merged = layered(family_recipe, self.defaults, run.changes)
        return parse(Recipe, merged, f"params.yaml: runs.{run.name}")


def read_course(path: Path = PARAMS) -> Course:
    """The course that *path* describes, checked as far as names and types go.

    Raises:
        RegattaError: one line that names the file, the key and the nearest valid name.
    """
    content = read_yaml(path)
    runs = content.get("runs")
    if not isinstance(runs, dict) or not runs:
        raise RegattaError(f"{path}: 'runs' must hold at least one 'name: {{problem, dataset, family}}'")
    parse(Recipe, content.get("defaults") or {}, f"{path}: defaults")
    content = content | {"defaults": content.get("defaults") or {}}
    content["runs"] = {str(name): _read_run(str(name), value, path) for name, value in runs.items()}
    course = parse(Course, content, str(path))
    _check_lists(course, path)
    return course


def _read_run(name: str, content: Any, path: Path) -> Run:
    place = f"{path}: runs.{name}"
    _check_name(name, place)
    if not isinstance(content, dict):
        raise RegattaError(f"{place}: expected {{problem, dataset, family, …}}, found {content!r}")
    own = set(Run.model_fields) - {"name", "changes"}
    for key in content:
        if key not in own and key not in RECIPE_KEYS:
            raise RegattaError(f"{place}: unknown key '{key}': {nearest(str(key), own | RECIPE_KEYS)}")
    changes = {key: value for key, value in content.items() if key in RECIPE_KEYS}
    rest = {key: value for key, value in content.items() if key in own}
    return parse(Run, rest | {"name": name, "changes": changes}, place)


def _check_name(name: str, place: str = "params.yaml: datasets") -> None:
    if not NAME.fullmatch(name) or ".." in name:
        raise RegattaError(
            f"{place}: the name '{name}' must be lower-case letters, digits, '-', '_' or '.', at most 64"
        )


def _check_lists(course: Course, path: Path) -> None:
    """Runs may only use what `datasets` and `problems` list, for DVC's graph is made from those lists."""
    for run in course.runs.values():
        if run.dataset not in course.datasets:
            hint = nearest(run.dataset, course.datasets)
            raise RegattaError(f"{path}: runs.{run.name}: unknown dataset '{run.dataset}': {hint}")
        if run.problem not in course.problems:
            raise RegattaError(f"{path}: runs.{run.name}: list '{run.problem}' under 'problems' too")
    for problem in course.problems:
        if all(run.problem != problem for run in course.runs.values()):
            raise RegattaError(f"{path}: problems: no run is about '{problem}'; take it out of the list")
