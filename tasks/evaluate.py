"""Score a trained run on the test split: `python -m tasks.evaluate RUN` → `results/P/R`, `costs/P/R.json`."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models import FAMILIES
from models.weights import restore
from regatta.engine.costs import measure
from regatta.engine.evaluating import Examiner, evaluate, examiner_of
from regatta.engine.feed import Feed, feed_of
from regatta.engine.placement import placed
from regatta.engine.precision import autocast
from regatta.engine.process import set_up_process
from regatta.engine.world import World
from regatta.errors import RegattaError, one_line_errors
from regatta.manifest import verify
from regatta.packed.schema import Packed, Split, open_packed
from regatta.problems.counts import Counts
from regatta.settings.course import read_course
from regatta.settings.outputs import PACKED, outputs_of
from regatta.settings.trained import TrainedRun, read_trained
from regatta.whole import whole_file, whole_folder
from tasks.argument import only_argument
from tasks.drawing import draw
from tasks.publishing import discard
from tasks.showing import Witnessed, samples_to_show
from tasks.tables import write_tables
from tasks.train import input_of

THROUGHPUT_BATCH = 32


@dataclass(frozen=True)
class Entry:
    """A trained network on the test split."""

    trained: TrainedRun
    packed: Packed
    split: Split
    network: nn.Module
    feed: Feed
    examiner: Examiner


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate the best weights of the run named in *argv*."""
    with one_line_errors():
        run = read_course().run(only_argument(argv, "python -m tasks.evaluate RUN"))
        weights = outputs_of(run.name, run.problem).trained
        print(f"{weights}: {verify(weights)}", flush=True)
        entry = enter(read_trained(weights))
        began_s, witnessed = time.perf_counter(), Witnessed(entry.examiner)
        counts = evaluate(entry.network, entry.feed, entry.examiner, witnessed.add)
        evaluate_s = time.perf_counter() - began_s
        write_results(entry, counts, witnessed)
        write_costs(entry, evaluate_s)
        discard(entry.trained.key)


def enter(trained: TrainedRun) -> Entry:
    """The run's network with its best weights, and the test split of the data it was trained on.

    Raises:
        RegattaError: the weights are of another family, or the data has changed since.
    """
    data = PACKED / trained.dataset
    print(f"{data}: {verify(data)}", flush=True)
    packed = open_packed(data)
    if packed.digest != trained.data_digest:
        raise RegattaError(
            f"trained/{trained.name}: was trained on another version of '{trained.dataset}'; "
            f"run 'dvc repro train@{trained.name}'"
        )
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    set_up_process(trained.settings.threads_per_worker)
    recipe, split = trained.settings, packed.split("test")
    examiner = examiner_of(packed.schema, recipe, World(device=device), trained.mean, trained.std)
    network = placed(_network(trained, packed), device, channels_last=recipe.channels_last).eval()
    return Entry(trained, packed, split, network, feed_of(split, device, recipe.resident_share), examiner)


def _network(trained: TrainedRun, packed: Packed) -> nn.Module:
    place = f"trained/{trained.name}/best.safetensors"
    if trained.family not in FAMILIES:
        raise RegattaError(f"{place}: of family '{trained.family}', which is no longer in models/__init__.py")
    family = FAMILIES[trained.family]
    try:
        options = family.options.model_validate(trained.options)
        return restore(family, input_of(packed.schema), options, Path(place))
    except ValueError as fault:
        raise RegattaError(f"{fault}; run 'dvc repro train@{trained.name}'") from None


def write_results(entry: Entry, counts: Counts, witnessed: Witnessed) -> None:
    """Everything about a run that is the same whenever it is evaluated: `results/P/R`."""
    trained, problem = entry.trained, entry.examiner.problem
    outputs = outputs_of(trained.name, trained.problem)
    with whole_folder(outputs.results) as folder:
        scores = {
            "run": trained.name,
            "problem": trained.problem,
            "dataset": trained.dataset,
            "family": trained.family,
            "key": trained.key,
            "split": "test",
            "samples": int(counts.samples),
            "primary": problem.primary,
        } | problem.scores(counts)
        (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(outputs.trained / "run.json", folder / "run.json")
        shutil.copyfile(outputs.trained / "history.csv", folder / "curves.csv")
        write_tables(folder, counts, problem, trained.classes)
        samples = samples_to_show(entry.network, entry.feed, entry.examiner, entry.split, trained, witnessed)
        draw(folder, counts, samples, trained, problem)


def write_costs(entry: Entry, evaluate_s: float) -> None:
    """What using the network costs on this machine: `costs/P/R.json`."""
    trained, feed = entry.trained, entry.feed
    few = torch.arange(THROUGHPUT_BATCH) % len(feed.images)
    images_BHWC = feed.images.index_select(0, few.to(feed.images.device)).to(entry.examiner.world.device)
    with autocast(trained.settings.precision, entry.examiner.world.device):  # as it is scored
        costs = measure(entry.network, entry.examiner.normalise(images_BHWC.permute(0, 3, 1, 2)))
    with whole_file(outputs_of(trained.name, trained.problem).costs) as file:
        exact = {"parameters": trained.parameters, "flops": trained.flops}
        values = exact | costs.as_dict() | {"evaluate_s": evaluate_s}
        file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
