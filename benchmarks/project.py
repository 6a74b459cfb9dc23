"""Copies of the project to run courses in."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOMS = ("flows", "tasks", "models", "regatta", "datasets")
FILES = (
    *("dvc.yaml", "params.yaml", "prefect.yaml", "prefect.toml", "pyproject.toml", "requirements.lock"),
    *("Makefile", ".dvcignore", ".gitignore"),
)


def copy_project(project: Path, root: Path = Path()) -> Path:
    """The project at *root* without data, results and history, with a cache of its own."""
    for room in ROOMS:
        shutil.copytree(root / room, project / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copyfile(root / name, project / name)
    (project / ".dvc").mkdir()
    shutil.copyfile(root / ".dvc/config", project / ".dvc/config")
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    return project


def reproduce(project: Path, *command: str) -> float:
    """Run a driver (the parallel one by default) in *project*; seconds of wall time."""
    os.sync()  # What was written and deleted before would be waited for by who writes next.
    began_s = time.monotonic()
    python = Path(sys.executable)
    environment = {k: v for k, v in os.environ.items() if k not in ("REGATTA_HOME", "PYTHONPATH")}
    environment["PATH"] = f"{python.parent}:{environment['PATH']}"
    walk = command or (str(python), "-m", "flows.reproduce")
    subprocess.run(walk, cwd=project, env=environment, check=True)
    return time.monotonic() - began_s
