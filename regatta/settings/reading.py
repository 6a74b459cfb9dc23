"""One way to read a YAML file into a frozen model, and to say in one line what is wrong with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from regatta.errors import RegattaError, nearest


class Frozen(BaseModel):
    """A value that cannot change and does not know other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)
Where = tuple[int | str, ...]
"""Keys and places that lead to a value, from the outermost."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Mapping in the YAML file *path*.

    Raises:
        RegattaError: the file is missing, not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegattaError(f"{path}: no such file; {nearest(path.name, _siblings(path))}") from None
    except (yaml.YAMLError, ValueError) as fault:  # ValueError: of bytes that are no text, or no such date
        raise RegattaError(f"{path}: not valid YAML: {fault}") from None
    if not isinstance(content, dict):
        raise RegattaError(f"{path}: expected 'key: value' lines at the top, found {type(content).__name__}")
    return content


def parse(kind: type[Model], content: dict[str, Any], place: str) -> Model:
    """*content* as a *kind*; *place* (file and key) begins the error line.

    Raises:
        RegattaError: the first thing wrong, with the key and the nearest valid name.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as fault:
        raise RegattaError(_first_fault(kind, fault, content, place)) from None


def _first_fault(kind: type[BaseModel], fault: ValidationError, content: Any, place: str) -> str:
    first = fault.errors()[0]
    where = first["loc"] if first["type"] == "missing" else _as_written(content, first["loc"])
    key = ".".join(map(str, where))
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key '{key}': {nearest(str(where[-1]), _keys_at(kind, where[:-1]))}"
    # Where there are several kinds that a value may be, each has a fault of its own.
    others = [other["msg"] for other in fault.errors() if _as_written(content, other["loc"]) == where]
    message = ", or: ".join(dict.fromkeys([first["msg"], *others])).replace("Value error, ", "")
    found = f" (found {first['input']!r})" if first["type"] != "missing" and key else ""
    return f"{place}: '{key}': {message}{found}" if key else f"{place}: {message}"


def _as_written(content: Any, where: Where) -> Where:
    """*where* without what is no key of *content*: pydantic's names for the kinds that a value may be."""
    found: Where = ()
    for part in where:
        if _has(content, part):
            content, found = content[part], (*found, part)
    return found


def _has(content: Any, part: int | str) -> bool:
    if isinstance(content, list | tuple):
        return isinstance(part, int) and part < len(cast(Sequence[Any], content))
    return isinstance(content, dict) and part in content


def _keys_at(kind: type[BaseModel], where: Where) -> list[str]:
    """Field names of the model that lies at *where* below *kind*."""
    for part in where:
        field = kind.model_fields.get(str(part))
        inner = _models_in(field.annotation) if field else []
        if inner:
            kind = inner[0]
    return list(kind.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _siblings(path: Path) -> list[str]:
    return [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
