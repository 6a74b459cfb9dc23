"""Fits on real Ray workers, in a process of their own as a stage does, with work that breaks on purpose."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from regatta.engine.job import Job
from regatta.packed.schema import Packed
from regatta.settings.recipe import Recipe

ROOT = Path(__file__).parent.parent
FIT = """
import logging, os, signal, sys, time
from pathlib import Path
from regatta.cluster.fitting import fit, fit_on_ray
from regatta.cluster.resources import resources_of
from regatta.engine.job import Job
from regatta.errors import one_line_errors
from tasks.train import train_worker

def first_time(job, what):
    try:
        (job.folder / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

{work}

if __name__ == "__main__":
    with one_line_errors():
        job = Job.model_validate_json(Path(sys.argv[1]).read_bytes())
        if len(sys.argv) == 3:
            fit_on_ray(work, job, resources_of(job.recipe, job.run, gpus=0))
        else:
            fit(work, job)
"""
TRAIN = "work = train_worker"


def job_of(packed: Packed, folder: Path, **settings: Any) -> Job:
    """A small run of `mlp` on *packed*."""
    folder.mkdir()
    recipe = Recipe(**{"batch_size": 16, "lr": 0.01, "threads_per_worker": 1} | settings)
    return Job(
        run="trial",
        problem="classification",
        family="mlp",
        options={"width": 8},
        recipe=recipe,
        data=packed.path,
        key=folder.name * 8,
        folder=folder,
    )


def start_fit(job: Job, work: str = TRAIN, on_ray: bool = False, **environment: str) -> subprocess.Popen[str]:
    """`fit(work, job)` in a process, or `fit_on_ray`, whatever the workers are.

    *work* is source text that defines `work(job, world, say)`.
    """
    (job.folder / "job.json").write_text(job.model_dump_json())
    script = job.folder / "fit.py"
    script.write_text(FIT.replace("{work}", textwrap.dedent(work)))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, str(script), str(job.folder / "job.json"), *(["on Ray"] if on_ray else [])],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fit(
    job: Job, work: str = TRAIN, on_ray: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    with start_fit(job, work, on_ray, **environment) as process:
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
