"""What a training loop turns: network, optimiser, data and state, put together or resumed."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from regatta.engine import checkpoint
from regatta.engine.average import average_of
from regatta.engine.evaluating import Examiner, examiner_of
from regatta.engine.feed import Feed, feed_of
from regatta.engine.job import Job, channel_statistics
from regatta.engine.journal import Journal
from regatta.engine.optimisation import optimiser_of
from regatta.engine.order import steps_per_epoch
from regatta.engine.placement import placed
from regatta.engine.saving import Saver
from regatta.engine.world import World
from regatta.packed.schema import open_packed
from regatta.settings.recipe import Recipe


@dataclass(frozen=True)
class Parts:
    """Everything that one worker's loop works with."""

    job: Job
    world: World
    network: nn.Module
    parallel: nn.Module
    """The network that is called in training: averages gradients over the workers."""
    average: nn.Module | None
    optimiser: Optimizer
    examiner: Examiner
    train: Feed
    val: Feed
    state: checkpoint.State
    saver: Saver
    journal: Journal | None
    """On the worker that leads."""
    names: Sequence[str]
    """The training samples' names."""

    @property
    def recipe(self) -> Recipe:
        return self.job.recipe

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and kept."""
        return self.network if self.average is None else self.average

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.train.images), self.recipe.batch_size, self.recipe.accumulation)

    @property
    def waited_s(self) -> float:
        """Seconds that steps, of training and of validation, have waited for data."""
        return self.train.waited_s + self.val.waited_s


def assemble(job: Job, network: nn.Module, world: World) -> Parts:
    """The parts of *job*'s loop, at the newest whole checkpoint of its folder, else at the start."""
    packed = open_packed(job.data)
    network = placed(network, world.device, channels_last=job.recipe.channels_last)
    average = average_of(network) if job.recipe.ema_decay else None
    optimiser = optimiser_of(network, job.recipe)
    state = _resumed(job, network, average, optimiser, world)
    schema, train = packed.schema, packed.split("train")
    return Parts(
        job=job,
        world=world,
        network=network,
        parallel=world.parallel(network),
        average=average,
        optimiser=optimiser,
        examiner=examiner_of(schema, job.recipe, world, *channel_statistics(schema, job.recipe)),
        train=feed_of(train, world.device, job.recipe.resident_share),
        val=feed_of(packed.split("val"), world.device, job.recipe.resident_share),
        state=state,
        saver=Saver(job.folder / "checkpoints"),
        journal=Journal(job.folder / "journal.jsonl", state.journal_position) if world.leads else None,
        names=train.names,
    )


def _resumed(
    job: Job, network: nn.Module, average: nn.Module | None, optimiser: Optimizer, world: World
) -> checkpoint.State:
    found = checkpoint.latest(job.folder / "checkpoints")
    state, tensors = found or (checkpoint.State(), {})
    if not world.agrees(state.step):
        raise RuntimeError("the workers found different checkpoints, for another attempt still writes here")
    if found is None:
        return state
    network.load_state_dict(checkpoint.under("network", tensors))
    if average is not None:
        average.load_state_dict(checkpoint.under("average", tensors))
    checkpoint.restore_optimiser(optimiser, tensors)
    if world.leads:
        print(f"resumed after step {state.step}", flush=True)
    return state


def begin_checkpoint(parts: Parts) -> None:
    """Let the leading worker begin to write all that going on from here needs; training may go on."""
    if parts.journal is not None:
        parts.state.journal_position = parts.journal.position()
        parts.saver.begin(parts.state, _tensors(parts))


def save_checkpoint(parts: Parts) -> None:
    """The same, and wait until it is written."""
    begin_checkpoint(parts)
    parts.saver.settle()


def _tensors(parts: Parts) -> dict[str, Tensor]:
    tensors = {f"network.{k}": v for k, v in parts.network.state_dict().items()}
    if parts.average is not None:
        tensors |= {f"average.{k}": v for k, v in parts.average.state_dict().items()}
    return tensors | checkpoint.optimiser_tensors(parts.optimiser)
