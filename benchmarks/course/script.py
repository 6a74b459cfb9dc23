"""The course of one run as one script: `python script.py RUN`, in a project's folder.

The same functions in the same order, in one process and without DVC, Prefect, Ray and MLflow: nothing is
cached, watched, tracked or reported.
"""

import sys
from pathlib import Path

from models import FAMILIES
from models.weights import restore
from regatta.engine.evaluating import evaluate, examiner_of
from regatta.engine.feed import feed_of
from regatta.engine.job import Job, channel_statistics
from regatta.engine.process import set_up_process
from regatta.engine.world import World
from regatta.packed.schema import Packed, open_packed
from regatta.settings.course import read_course
from tasks.download import download
from tasks.preprocess import preprocess
from tasks.resolving import Resolved, resolve
from tasks.train import input_of, job_of, train_worker


def main() -> None:
    """Download, pack, train and score the run that is named on the command line."""
    resolved = resolve(read_course(), sys.argv[1])
    raw, data = Path("data/raw") / resolved.card.name, Path("data/packed") / resolved.card.name
    download(resolved.card, raw)
    preprocess(resolved.card, raw, data)
    packed = open_packed(data)
    job = job_of(resolved, packed)
    job.folder.mkdir(parents=True)
    set_up_process(resolved.recipe.threads_per_worker)
    train_worker(job, World(), lambda line: print(line, flush=True))
    print(scores(resolved, packed, job))


def scores(resolved: Resolved, packed: Packed, job: Job) -> dict[str, float]:
    """Of the best weights, on the test split."""
    recipe, world, schema = job.recipe, World(), packed.schema
    examiner = examiner_of(schema, recipe, world, *channel_statistics(schema, recipe))
    weights = job.folder / "best.safetensors"
    network = restore(FAMILIES[job.family], input_of(schema), resolved.options, weights)
    feed = feed_of(packed.split("test"), world.device, recipe.resident_share)
    return examiner.problem.scores(evaluate(network, feed, examiner))


if __name__ == "__main__":
    main()
