"""What the walk tells those who watch it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Ending = Literal["done", "cached", "failed", "not run"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a stage; `text` is its output line, or why it failed."""

    stage: str
    kind: Literal["started", "line", "passing", Ending]
    text: str = ""


Listen = Callable[[Event], None]
"""Called from several threads."""


def unheard(_: Event) -> None:
    """For walks that nobody watches here: Prefect keeps their logs."""
