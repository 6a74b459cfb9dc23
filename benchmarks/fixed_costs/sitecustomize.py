"""Writes down when its process began, what it imported when, and which files it opened or put in place.

Laid into a project whose folder is on PYTHONPATH: Python imports it at the start of every process there,
those that Ray starts included. Nothing of the product knows of it. Each process has a file of its own,
`marks/PID.jsonl`, one JSON object for each mark: {"what": "imported torch", "time_s": 1700000000.0}.
"""

import atexit
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

WATCHED = {"torch", "ray", "ray.train", "ray.train.torch", "regatta.cluster.trainer"}
PLACE = Path(__file__).parent / "marks" / f"{os.getpid()}.jsonl"


def mark(what: str) -> None:
    """Add a line; opened anew each time, for Ray's workers are ended without being asked."""
    line = json.dumps({"what": what, "time_s": time.time()})
    with PLACE.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


class Watch(MetaPathFinder):
    """Finds what is watched as anybody would, and marks when it is executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in WATCHED else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def marked(module: ModuleType) -> None:
            mark(f"import {name}")
            execute(module)
            mark(f"imported {name}")

        spec.loader.exec_module = marked
        return spec


def on_event(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit events come just before what they tell of."""
    if event == "os.rename":
        mark(f"placed {Path(os.fsdecode(arguments[1])).name}")
    elif event == "open" and isinstance(arguments[0], str) and "/workers/" in arguments[0]:
        mark(f"opened {Path(arguments[0]).name}")


if PLACE.parent.is_dir():
    mark("began")
    atexit.register(mark, "ended")
    sys.meta_path.insert(0, Watch())
    sys.addaudithook(on_event)
