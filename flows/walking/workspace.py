"""A place of its own for runs with other settings: tracked files, own params.yaml, shared cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any

import yaml

from flows.walking.graph import cache_folder, copy_results
from flows.walking.overrides import overridden
from regatta.errors import RegattaError
from regatta.settings.course import PARAMS, read_course
from regatta.settings.home import home
from regatta.settings.reading import read_yaml
from regatta.whole import beside

WITHOUT_GIT = (
    *("datasets", "flows", "models", "regatta", "tasks", "benchmarks", "tests"),
    *(
        "dvc.yaml",
        "params.yaml",
        ".dvc/config",
        ".dvcignore",
        "pyproject.toml",
        "prefect.yaml",
        "prefect.toml",
    ),
)
"""What makes up the project where git cannot tell."""


@contextmanager
def workspace(root: Path, overrides: Sequence[str]) -> Generator[Path]:
    """A folder like the project at *root*, but for *overrides* (`defaults.epochs=5`), for us alone.

    The same overrides of the same files lead to the same folder, so that work can be taken up again;
    while somebody else is in it, to another one. It is kept afterwards. Stages that the overrides do not
    touch are restored from the cache, which is shared, run cache included.

    Raises:
        RegattaError: an override is not `key=value`, or does not fit; nothing has been written then.
    """
    params = overridden(read_yaml(root / PARAMS), overrides)
    files = _tracked(root)
    _check(params)
    name = _digest(root, files, params)
    for number in count(1):
        folder = home() / "workspaces" / (name if number == 1 else f"{name}-{number}")
        with _alone(folder) as is_ours:
            if is_ours:
                if not folder.exists():
                    _make(folder, root, files, params)
                    copy_results(root, folder)
                yield folder
                return


def _check(params: dict[str, Any]) -> None:
    """Read *params* as the course that they would make, before anything is written to a workspace."""
    trial = beside(home() / "workspaces" / PARAMS)
    trial.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_yaml(trial, params)
        read_course(trial)
    except RegattaError as fault:
        raise RegattaError(str(fault).replace(str(trial), "params.yaml with these overrides")) from None
    finally:
        trial.unlink(missing_ok=True)


def _tracked(root: Path) -> list[Path]:
    """Files of the project, relative to *root*, those that are new but not ignored too."""
    if shutil.which("git") is None:
        return _known(root)
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    names = os.fsdecode(listing.stdout).split("\0") if listing.returncode == 0 else []
    files = [Path(name) for name in names if name and (root / name).is_file()]
    # A project inside somebody else's repository may be ignored there.
    return sorted(files) if Path("dvc.yaml") in files else _known(root)


def _known(root: Path) -> list[Path]:
    found = [path for name in WITHOUT_GIT for path in [root / name, *sorted((root / name).rglob("*"))]]
    return [p.relative_to(root) for p in found if p.is_file() and "__pycache__" not in p.parts]


def _digest(root: Path, files: list[Path], params: dict[str, Any]) -> str:
    digest = hashlib.sha256(yaml.safe_dump(params).encode())
    for file in files:
        digest.update(b"\0" + os.fsencode(file) + b"\0")
        digest.update((root / file).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Generator[bool]:
    """Whether nobody else is in *folder*; nobody will be until the block is left, or we die."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        yield _try_lock(lock)


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(folder: Path, root: Path, files: list[Path], params: dict[str, Any]) -> None:
    partial = beside(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for file in files:
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / file, partial / file)
        _write_yaml(partial / PARAMS, params)
        (partial / ".dvc").mkdir(exist_ok=True)
        (partial / ".dvc" / "config.local").write_text(
            f"[core]\n    no_scm = True\n    analytics = False\n[cache]\n    dir = {cache_folder(root)}\n"
        )
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
