"""Objects of DVC's cache: who needs them, and how a damaged one is replaced.

An object's name is the md5 of its bytes. A folder is an object `….dir` that lists the md5 and the path
of each file in it, in DVC's own way of writing JSON.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dvc.utils.serialize import parse_yaml

NAME = re.compile(r"[0-9a-f]{30}(\.dir)?")
DIR = ".dir"
MODE = 0o444
"""DVC protects its objects from being written to."""


@dataclass(frozen=True)
class Need:
    """An output, or a file of one, that is kept as an object."""

    root: Path
    """The project, or a workspace of it."""
    path: Path
    stage: str

    def __str__(self) -> str:
        return f"{from_here(self.path)} of {self.stage}"


@dataclass(frozen=True)
class Damaged:
    """An object whose bytes are not those that its name says."""

    path: Path
    oid: str
    found_md5: str

    @property
    def is_folder(self) -> bool:
        return self.oid.endswith(DIR)


def from_here(path: Path) -> Path:
    """The path as it is written in the project's folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def objects(cache: Path) -> Iterator[tuple[Path, str]]:
    """Every object below *cache*: where it lies, and its name."""
    for path in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        if NAME.fullmatch(path.name):
            yield path, path.parent.name + path.name


def needs(roots: Sequence[Path], cache: Path) -> dict[str, list[Need]]:
    """For each object that a dvc.lock of *roots* leads to: which outputs are made from it."""
    found: dict[str, list[Need]] = {}
    for root in roots:
        for stage, path, oid in _locked_outputs(root):
            found.setdefault(oid, []).append(Need(root, path, stage))
            for below, md5 in children(path, oid, cache) if oid.endswith(DIR) else ():
                found.setdefault(md5, []).append(Need(root, below, stage))
    return found


def _locked_outputs(root: Path) -> Iterator[tuple[str, Path, str]]:
    """(stage, path, object) of each output in the dvc.lock of *root*."""
    lock = root / "dvc.lock"
    content = (
        cast(dict[str, Any], parse_yaml(lock.read_text(encoding="utf-8"), str(lock))) if lock.exists() else {}
    )
    for stage, entry in content.get("stages", {}).items():
        yield from ((stage, root / out["path"], out["md5"]) for out in entry.get("outs", ()) if "md5" in out)


def children(path: Path, oid: str, cache: Path) -> list[tuple[Path, str]]:
    """Files of the output *path* and their md5: itself, or as the object of the folder lists them.

    Nothing when that object is not there or cannot be read.
    """
    if not oid.endswith(DIR):
        return [(path, oid)]
    try:
        listed = json.loads((cache / oid[:2] / oid[2:]).read_bytes())
        return [(path / entry["relpath"], entry["md5"]) for entry in listed]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def restore(damaged: Damaged, places: Sequence[Need]) -> None:
    """Replace the object by what a project still has of it; else remove it, and what was made from it.

    DVC makes or restores what is missing when it next runs. Outputs that differ from dvc.lock in any
    other way are left alone: DVC sees those.
    """
    if any(_rebuilt(damaged, place.path) for place in places):
        return
    copies = {place.path for place in places if _is_made_from(damaged, place.path)}
    # First, for were we killed now, DVC would still see that something is missing.
    damaged.path.unlink()
    for copy in copies:
        shutil.rmtree(copy) if damaged.is_folder else copy.unlink()


def _rebuilt(damaged: Damaged, source: Path) -> bool:
    """Whether *source* holds what the object should; it is in its place again then."""
    if not (source.is_dir() if damaged.is_folder else source.is_file()):
        return False
    # DVC's own kind of unfinished name: nobody takes it for an object.
    partial = damaged.path.with_name(f".{damaged.path.name}.{os.getpid()}.tmp")
    try:
        _write(partial, source)
        if md5_of(partial) != damaged.oid.removesuffix(DIR):
            return False
        partial.chmod(MODE)
        partial.replace(damaged.path)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _write(target: Path, source: Path) -> None:
    if source.is_dir():
        target.write_text(json.dumps(_listing(source), sort_keys=True), encoding="utf-8")
    else:
        shutil.copyfile(source, target)


def _listing(folder: Path) -> list[dict[str, str]]:
    """The folder as DVC lists it."""
    files = [(path.relative_to(folder), path) for path in folder.rglob("*") if path.is_file()]
    return [{"md5": md5_of(path), "relpath": name.as_posix()} for name, path in sorted(files)]


def _is_made_from(damaged: Damaged, path: Path) -> bool:
    """Whether the damaged bytes were copied out to *path*."""
    if not path.exists():
        return False
    if not damaged.is_folder:
        return md5_of(path) == damaged.found_md5
    try:
        listed = json.loads(damaged.path.read_bytes())
        return {(entry["relpath"], entry["md5"]) for entry in listed} == {
            (entry["relpath"], entry["md5"]) for entry in _listing(path)
        }
    except (ValueError, LookupError, TypeError):
        return False


def md5_of(path: Path) -> str:
    """Of the bytes that are there now, whatever was seen before."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
