"""A run of params.yaml, held against its family and its data set's card."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from torch import nn

from models import FAMILIES
from models.family import Family, InputSpec, SizeError
from regatta.errors import RegattaError, nearest
from regatta.settings.card import Card, read_card
from regatta.settings.course import Course, Run
from regatta.settings.reading import parse
from regatta.settings.recipe import Recipe


@dataclass(frozen=True)
class Resolved:
    """A run that fits together, with every setting it trains by."""

    run: Run
    card: Card
    family: Family
    options: BaseModel
    recipe: Recipe


def resolve(course: Course, name: str) -> Resolved:
    """The run *name* of *course*.

    Raises:
        RegattaError: an unknown run, data set, family, option or setting, or an impossible pair.
    """
    run = course.run(name)
    card, place = read_card(run.dataset), f"params.yaml: runs.{name}"
    family = _family(run.family, place)
    for what, problem in (
        (f"family '{run.family}'", family.problem),
        (f"data set '{run.dataset}'", card.problem),
    ):
        if problem != run.problem:
            raise RegattaError(f"{place}: {what} is for {problem}, but the run's problem is {run.problem}")
    options = parse(family.options, run.options, f"{place}.options")
    return Resolved(run, card, family, options, course.recipe(run, dict(family.recipe)))


def _family(name: str, place: str) -> Family:
    if name not in FAMILIES:
        raise RegattaError(f"{place}: unknown family '{name}': {nearest(name, FAMILIES)}")
    return FAMILIES[name]


def sources(family: str) -> list[Path]:
    """Code that decides a run's weights; all of it is among the stage's dependencies in dvc.yaml."""
    places = ("models/parts", "regatta/engine", "regatta/problems")
    return [Path("models") / f"{family}.py", *map(Path, places)]


def build(family: Family, spec: InputSpec, options: BaseModel, place: str) -> nn.Module:
    """The family's network for inputs of *spec*.

    Raises:
        RegattaError: the size does not fit the family, or its pretrained weights cannot be had.
    """
    try:
        return family.build(spec, options)
    except SizeError as fault:
        raise RegattaError(f"{place}: {fault}") from None
    except ValueError as fault:
        raise RegattaError(f"{place}: family '{family.name}': {fault}") from None
