"""One side, in a process of its own: `python -m benchmarks.loops.side RUN SIDE FOLDER` in a laid-out project.

It measures whenever there is a question in FOLDER, until one asks for nothing. Each side imports what it
needs itself, for that costs seconds.
"""

import sys
from functools import partial
from pathlib import Path

import torch

from benchmarks.loops.cases import LIGHTNING, PLAIN, RAY, TUTORIAL
from benchmarks.loops.engine import answer_as_worker
from benchmarks.loops.questions import answer_all
from regatta.cluster.fitting import fit, fit_on_ray
from regatta.cluster.resources import resources_of
from regatta.engine.job import Job
from regatta.engine.process import set_up_process
from regatta.engine.world import World
from regatta.orphans import end_with_parent
from regatta.packed.schema import open_packed
from regatta.settings.course import read_course
from tasks.resolving import resolve
from tasks.train import job_of


def main() -> None:
    """Command line."""
    end_with_parent()
    run, side, folder = sys.argv[1:]
    job = job_in(Path(folder), run)
    resources = resources_of(job.recipe, run, gpus=0)
    torch.set_num_threads(resources.threads_per_worker)
    if side == TUTORIAL:
        answer_as_tutorial(job)
    elif side == LIGHTNING:
        answer_as_lightning(job)
    elif side == PLAIN:
        set_up_process(torch.get_num_threads())  # as `regatta.cluster` does
        answer_as_worker(job, World(), partial(print, flush=True))
    elif side == RAY:
        fit_on_ray(answer_as_worker, job, resources)
    else:
        fit(answer_as_worker, job)


def job_in(folder: Path, run: str) -> Job:
    """The run as a job of `tasks.train`, with *folder* for its work in flight and for the questions."""
    resolved = resolve(read_course(), run)
    packed = open_packed(Path("data/packed") / resolved.run.dataset)
    return job_of(resolved, packed).model_copy(update={"folder": folder.absolute()})


def answer_as_tutorial(job: Job) -> None:
    """Answer by a tutorial's loop."""
    from benchmarks.loops.lesson import lesson_of
    from benchmarks.loops.tutorial import measured

    answer_all(job.folder, partial(measured, lesson_of(job)), asleep)


def answer_as_lightning(job: Job) -> None:
    """Answer by Lightning's Trainer."""
    from benchmarks.loops.lesson import lesson_of
    from benchmarks.loops.lightning import measured

    answer_all(job.folder, partial(measured, lesson_of(job), folder=job.folder), asleep)


def asleep() -> None:
    """Nobody watches the other sides."""


if __name__ == "__main__":
    main()
