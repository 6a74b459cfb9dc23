"""Train one run of params.yaml: `python -m tasks.train RUN` → `trained/R` and `journals/P/R`."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from models.family import InputSpec
from regatta.cluster.fitting import fit
from regatta.digest import digest_of_sources, digest_of_value
from regatta.engine.job import Job
from regatta.engine.training import train
from regatta.engine.world import World
from regatta.errors import RegattaError, one_line_errors
from regatta.manifest import verify
from regatta.packed.schema import Packed, Schema, open_packed
from regatta.settings.course import read_course
from regatta.settings.home import home
from regatta.settings.outputs import PACKED
from regatta.settings.recipe import HOW_NOT_WHAT
from tasks.argument import only_argument
from tasks.publishing import publish, take_up
from tasks.resolving import Resolved, build, resolve, sources

if TYPE_CHECKING:
    from torch import nn


def main(argv: Sequence[str] | None = None) -> None:
    """Train the run named in *argv*, going on from its last checkpoint if it was begun before."""
    with one_line_errors():
        name = only_argument(argv, "python -m tasks.train RUN")
        resolved = resolve(read_course(), name)
        data = PACKED / resolved.run.dataset
        print(f"{data}: {verify(data)}", flush=True)  # once, here, and not by each worker
        packed = open_packed(data)
        job = job_of(resolved, packed)
        _check_batch(resolved, packed.schema)
        with _alone(job):
            take_up(job)
            job.folder.mkdir(parents=True, exist_ok=True)
            if not (job.folder / "outcome.json").exists():
                fit(train_worker, job)
            publish(resolved, packed, job)


@contextmanager
def _alone(job: Job) -> Generator[None, None, None]:
    """Nobody else is at this very run: workspaces of other flows share the place where it is in flight."""
    lock = FileLock(home() / "locks" / job.key)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print(f"{job.run}: another start is training the very same: waiting for it", flush=True)
        held = lock.acquire()
    with held:
        yield


def job_of(resolved: Resolved, packed: Packed) -> Job:
    """The run as a job. Its key covers what is learnt, of what and by which code; not how it is computed."""
    recipe = resolved.recipe.model_dump()
    key = digest_of_value(
        {
            "data": packed.digest,
            "settings": {name: value for name, value in recipe.items() if name not in HOW_NOT_WHAT},
            "family": [resolved.run.family, resolved.options.model_dump()],
            "sources": digest_of_sources(sources(resolved.run.family)),
        }
    )
    return Job(
        run=resolved.run.name,
        problem=resolved.run.problem,
        family=resolved.run.family,
        options=resolved.options.model_dump(),
        recipe=resolved.recipe,
        data=packed.path.absolute(),
        key=key,
        folder=home() / "runs" / key,
    )


def train_worker(job: Job, world: World, say: Callable[[str], None]) -> None:
    """What each worker does: build the same network, and train it together."""
    train(job, network_of(job), world, say)


def network_of(job: Job) -> "nn.Module":
    """The network that *job* trains, with the weights that its seed begins with.

    Raises:
        RegattaError: its family cannot be built for the data.
    """
    import torch

    from models import FAMILIES

    family = FAMILIES[job.family]
    torch.manual_seed(job.recipe.seed)
    options = family.options.model_validate(job.options)
    return build(family, input_of(open_packed(job.data).schema), options, f"params.yaml: runs.{job.run}")


def input_of(schema: Schema) -> InputSpec:
    """What a network for this data set is fed and asked for."""
    return InputSpec(schema.channels, schema.height_px, schema.width_px, len(schema.classes))


def _check_batch(resolved: Resolved, schema: Schema) -> None:
    samples, batch = schema.counts["train"], resolved.recipe.batch_size
    if batch > samples:
        raise RegattaError(
            f"params.yaml: runs.{resolved.run.name}: batch_size {batch} is more than the {samples} training "
            f"samples of '{resolved.run.dataset}'; set it to at most {samples}"
        )


if __name__ == "__main__":
    main()
