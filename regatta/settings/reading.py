"""One way to read a YAML file into a frozen model, and to say in one line what is wrong with it."""

from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from regatta.errors import RegattaError, nearest


class Frozen(BaseModel):
    """A value that cannot change and does not know other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Mapping in the YAML file *path*.

    Raises:
        RegattaError: the file is missing, not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegattaError(f"{path}: no such file; {nearest(path.name, _siblings(path))}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
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
        raise RegattaError(_first_fault(kind, fault, place)) from None


def _first_fault(kind: type[BaseModel], fault: ValidationError, place: str) -> str:
    first = fault.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        return f"{place}: unknown key '{key}': {nearest(name, _keys_at(kind, first['loc'][:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    found = f" (found {first['input']!r})" if first["type"] != "missing" and key else ""
    return f"{place}: '{key}': {message}{found}" if key else f"{place}: {message}"


def _keys_at(kind: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
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
