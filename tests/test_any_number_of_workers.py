"""One to four workers: the same global batches in the same order, the same scores to the last bit."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regatta.engine import training
from regatta.engine.evaluating import evaluate, examiner_of
from regatta.engine.feed import feed_of
from regatta.engine.job import Job
from regatta.engine.order import Share
from regatta.engine.training import train
from regatta.engine.world import World
from regatta.packed.schema import open_packed
from regatta.problems import PROBLEMS
from regatta.problems.batch import Batch
from regatta.settings.recipe import Recipe
from tests.gloo import together

RECIPE = Recipe(epochs=3, batch_size=16, accumulation=2, lr=0.05, log_every_steps=1, checkpoint_every_s=0)
SAMPLES = 107  # Not divisible: an epoch is three whole steps and one of 11.
EPOCHS_STEPS = [4, 4, 4]


def job_of(packed: Path, folder: Path) -> Job:
    folder.mkdir(exist_ok=True)
    common = {"run": "trial", "problem": "classification", "family": "tiny", "options": {}, "key": "k"}
    return Job(**common, recipe=RECIPE, data=packed, folder=folder)


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(1120, 3))


class Enough(Exception):
    """Stops a worker in mid-epoch."""


def learn(world: World, packed: Path, folder: Path, until_step: int) -> None:
    """Train to *until_step*; write down which samples were learnt from where in which step."""
    job, step_of = job_of(packed, folder), training.train_step

    def recording(parts: training.Parts, epoch: int, step: int, batches: Iterator[tuple[Share, Batch]]):
        if parts.state.step == until_step:
            raise Enough
        return step_of(parts, epoch, step, seen(batches, parts.state.step))

    def seen(batches: Iterator[tuple[Share, Batch]], step: int) -> Iterator[tuple[Share, Batch]]:
        for micro, (share, batch) in enumerate(batches):
            ids = batch.ids[batch.valid].tolist()
            with (folder / f"seen-{world.size}-{world.rank}.jsonl").open("a") as file:
                print(json.dumps([step, micro, share.positions.start, ids]), file=file)
            yield share, batch

    training.train_step = recording
    with suppress(Enough):
        train(job, network(), world, lambda line: None)


def sequence(folder: Path) -> dict[int, list[int]]:
    """The samples of each step in their global order, over all workers of all attempts."""
    rows = [json.loads(line) for file in folder.glob("seen-*") for line in file.read_text().splitlines()]
    steps: dict[int, list[int]] = {}
    for step, _, _, ids in sorted(rows):
        steps.setdefault(step, []).extend(ids)
    return steps


@pytest.mark.timeout(300)
def test_the_sequence_of_global_batches_is_the_same_for_1_2_and_4_workers_and_after_a_change_in_mid_epoch(
    packed_pictures, tmp_path: Path
) -> None:
    packed = packed_pictures(problem="classification", train=SAMPLES).path
    end = sum(EPOCHS_STEPS)
    attempts = {
        "one": [(1, end)],
        "two": [(2, end)],
        "four": [(4, end)],
        "changing": [(2, 3), (4, 6), (1, end)],
    }
    for name, plan in attempts.items():
        for workers, until_step in plan:
            together(workers, tmp_path, learn, packed, tmp_path / name, until_step)
    one = sequence(tmp_path / "one")
    assert list(one) == list(range(end))
    for epoch in range(3):
        learnt = chain.from_iterable(one[epoch * 4 + step] for step in range(4))
        assert sorted(learnt) == list(range(SAMPLES))
    for name in ("two", "four", "changing"):
        assert sequence(tmp_path / name) == one, name


def judge(world: World, packed: Path, folder: Path) -> None:
    """Write this worker's view of the scores of a fixed network, and of the sums they were made from."""
    opened = open_packed(packed)
    schema, device = opened.schema, torch.device("cpu")
    examiner = examiner_of(schema, RECIPE, world, schema.mean, schema.std)
    counts = evaluate(segmenter(), feed_of(opened.split("val"), device, 0.0), examiner)
    exact: Tensor = counts.flat()
    text = json.dumps([PROBLEMS[schema.problem].scores(counts), exact.tolist()])
    (folder / f"scores-{world.size}-{world.rank}.json").write_text(text)


def segmenter() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1))


@pytest.mark.timeout(300)
def test_scores_are_equal_to_the_last_bit_for_1_2_and_3_workers(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="segmentation", val=53).path  # Four batches: not divisible by three.
    for workers in (1, 2, 3):
        together(workers, tmp_path, judge, packed, tmp_path)
    texts = {file.name: file.read_text() for file in sorted(tmp_path.glob("scores-*.json"))}
    assert len(texts) == 6
    assert len(set(texts.values())) == 1
