"""dvc.lock in the order that a serial `dvc repro` would have left, however many walk at once.

DVC adds a stage at the end when it has run; with several at once, chance decides. So a walk puts in order
what it finds at its end: what stood there before it began stays first, then what is new in the walk's order.
What stood there before is written down for as long as a walk goes on: another walk that begins meanwhile,
or after a kill, would otherwise take for given what chance has left so far.
"""

import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.utils.serialize import dump_yaml, parse_yaml

from flows.processes.alive import is_alive
from flows.walking.graph import locked
from regatta.whole import whole_file


@contextmanager
def lock_in_order(root: Path, order: Sequence[str]) -> Generator[None]:
    """Put the stages of dvc.lock of the project at *root* in order when the block is left."""
    with locked(root):
        walks = _read_walks(root)
        before: list[str] = walks.get("before", lock_names(root))
        _write_walks(root, before, [*walks.get("pids", []), os.getpid()])
    try:
        yield
    finally:
        with locked(root):
            order_lock(root, before, order)
            others = [pid for pid in _read_walks(root).get("pids", []) if pid != os.getpid()]
            _write_walks(root, before, others)


def lock_names(root: Path) -> list[str]:
    """Names of the stages in dvc.lock, as they stand there."""
    return list(_read_lock(root)["stages"]) if (root / "dvc.lock").exists() else []


def order_lock(root: Path, before: Sequence[str], order: Sequence[str]) -> None:
    """Those of *before* first, then the others in *order*; nobody else may write dvc.lock meanwhile."""
    if not (root / "dvc.lock").exists():
        return
    content = _read_lock(root)
    place = {name: index for index, name in enumerate([*before, *(n for n in order if n not in before)])}
    ordered = sorted(content["stages"], key=lambda name: place.get(name, len(place)))
    if ordered != list(content["stages"]):
        content["stages"] = {name: content["stages"][name] for name in ordered}
        with whole_file(root / "dvc.lock") as file:
            dump_yaml(str(file), content)


def _read_lock(root: Path) -> dict[str, Any]:
    return parse_yaml((root / "dvc.lock").read_text(encoding="utf-8"), str(root / "dvc.lock"))


def _walks(root: Path) -> Path:
    return root / ".dvc" / "tmp" / "regatta-walks.json"


def _read_walks(root: Path) -> dict[str, Any]:
    try:
        return json.loads(_walks(root).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _write_walks(root: Path, before: Sequence[str], pids: Sequence[int]) -> None:
    """Say who walks; nothing once nobody does."""
    alive = [pid for pid in pids if is_alive(pid)]
    if alive:
        with whole_file(_walks(root)) as file:
            file.write_text(json.dumps({"before": list(before), "pids": alive}), encoding="utf-8")
    else:
        _walks(root).unlink(missing_ok=True)
