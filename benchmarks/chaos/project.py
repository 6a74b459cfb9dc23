"""The trials' project at every stage of its course, and what the uninterrupted course comes to.

Each trial works on a copy of the project as it stood just before the stage that is to be killed, so that a
trial costs what the kill costs. The copies are made from the tree as it was when the trials began.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.chaos import pictures
from benchmarks.chaos.draw import DVC
from benchmarks.chaos.remains import Remains, read_remains
from benchmarks.project import copy_project

HERE = Path(__file__).parent
RUN, DATASET, PROBLEM = "flecks", "flecks", "classification"
STAGES = {
    "checked": "check",
    "built": "build",
    "raw": f"download@{DATASET}",
    "packed": f"preprocess@{DATASET}",
    "trained": f"train@{RUN}",
    "evaluated": f"evaluate@{RUN}",
    "reported": f"report@{PROBLEM}",
    "tracked": f"track@{PROBLEM}",
}
"""What stands, and the stage that brought it there."""


@dataclass(frozen=True)
class Course:
    """An uninterrupted course with so many workers."""

    folder: Path
    workers: int
    remains: Remains

    def copy(self, standing: str, target: Path) -> Path:
        """The project as it stood when *standing* had just been reached."""
        return _copy(self.folder / standing, target)


def make_course(folder: Path, workers: int, until: str = "tracked") -> Course:
    """Run the course once, *until* so much stands, keeping the project after each stage."""
    project = _fresh(folder / "project", folder / "mirror", workers)
    for standing, stage in STAGES.items():
        reproduce(project, "--single-item", stage, REGATTA_MIRROR=(folder / "mirror").as_uri())
        if standing == "packed":
            _make_databases(project)
        _copy(project, folder / standing)
        if standing == until:
            break
    return Course(folder, workers, read_remains(project))


def _fresh(project: Path, mirror: Path, workers: int) -> Path:
    copy_project(project)
    shutil.rmtree(project / "datasets")
    (project / "datasets").mkdir()
    (project / f"datasets/{DATASET}.yaml").write_text(pictures.paint(mirror / DATASET))
    shutil.copyfile(HERE / "hook/sitecustomize.py", project / "sitecustomize.py")
    params = yaml.safe_load((HERE / "course/params.yaml").read_text())
    params["defaults"]["workers"] = workers
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    _add_family(project / "models")
    return project


def _add_family(models: Path) -> None:
    """As CONTRIBUTING.md says: one file, two lines."""
    shutil.copyfile(HERE / "course/flecks.py", models / "flecks.py")
    listing = models / "__init__.py"
    text = listing.read_text().replace("import (", "import (\n    flecks,", 1)
    listing.write_text(text.replace('    "softmax"', '    "flecks": flecks.FAMILY,\n    "softmax"', 1))


DATABASES = """
from flows.processes.leashes import Leashes
from flows.serving.embedded import embedded_server
from regatta.settings.addresses import tracking_uri
from regatta.tracking.server import tracking
with embedded_server(Leashes()) as prefect, tracking(tracking_uri()):
    prefect.ready()
"""


def _make_databases(project: Path) -> None:
    """Empty databases, as of somebody who has used Regatta before: making them takes longer than a trial."""
    subprocess.run([sys.executable, "-c", DATABASES], cwd=project, env=environment(project), check=True)


def reproduce(project: Path, *arguments: str, **more: str) -> None:
    """A `dvc repro` that must succeed."""
    done = subprocess.run(
        [sys.executable, *DVC, *arguments],
        cwd=project,
        env={**environment(project), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"dvc repro {' '.join(arguments)} fails without any kill:\n{done.stdout}{done.stderr}"
        )


def environment(project: Path) -> Mapping[str, str]:
    """Environment of everything a trial runs: nobody's servers, its own home."""
    foreign = ("PREFECT_", "REGATTA_", "MLFLOW_", "RAY_", "CHAOS_", "DVC_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(project),
        "PYTHONUNBUFFERED": "1",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(project.parent / "dvc-site"),
        "NO_COLOR": "1",
    }


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, symlinks=True)
    return target
