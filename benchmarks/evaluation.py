"""Counting what a segmentation network got right: 21 classes at 480x360, against torchmetrics.

python -m benchmarks.evaluation
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.measuring import PAIRS, Goal, Sample, in_turn, write
from regatta.allocation import keep_freed_memory
from regatta.problems.batch import Batch
from regatta.problems.counts import confusion_of
from regatta.problems.likeliest import likeliest
from regatta.problems.problem import Targets
from regatta.problems.segmentation import SEGMENTATION

CLASSES, HEIGHT_PX, WIDTH_PX, IGNORE = 21, 360, 480, 255
LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
HEAD = """# Evaluation: 21 classes at 480×360, batches of {batch}

Images per second; random f32 logits and u8 label maps of which a tenth is not scored, in memory; the same
tensors for all sides, {threads} threads. Both sides begin with logits and end with their counts updated: ours
is what the engine's evaluation does for the scores (likeliest class, one bincount), the other is
`MulticlassJaccardIndex(21, ignore_index=255).update(logits, labels)`, as torchmetrics' documentation has it
in a loop over batches. "Argmax alone" is `logits.argmax(1)`, which torchmetrics does, too; "with the loss"
is all that our evaluation counts, cross-entropy per picture and all. The sides take turns, {rounds} batches
each.

Made again by `python -m benchmarks.evaluation`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description="Measure counting")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    keep_freed_memory()  # as tasks.evaluate does; for all sides
    samples: list[Sample] = []
    for layout in LAYOUTS:
        samples += _measured(layout, options.batch, options.rounds, options.pairs)
    head = HEAD.format(batch=options.batch, threads=torch.get_num_threads(), rounds=options.rounds)
    goals = [Goal(f"logits in {layout}", "regatta", "torchmetrics", at_least=3.0) for layout in LAYOUTS]
    write("evaluation", head, samples, goals)


def _measured(layout: str, size: int, rounds: int, pairs: int) -> list[Sample]:
    logits, batch = made(size, LAYOUTS[layout])
    sides = _sides(logits, batch)
    for side in sides.values():
        side()  # warm
    timed = {name: _images_per_s(side, size, rounds) for name, side in sides.items()}
    return in_turn(f"logits in {layout}", "images/s", timed, pairs)


def made(size: int, layout: torch.memory_format) -> tuple[Tensor, Batch]:
    """Logits f32[B 21 360 480] and the batch they are about."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(size, CLASSES, HEIGHT_PX, WIDTH_PX, generator=generator)
    truth = torch.randint(0, CLASSES, (size, HEIGHT_PX, WIDTH_PX), generator=generator)
    truth[torch.rand(truth.shape, generator=generator) < 0.1] = IGNORE
    ids, valid = torch.arange(size), torch.ones(size, dtype=torch.bool)
    return logits.to(memory_format=layout), Batch(torch.zeros(0), truth.to(torch.uint8), ids, valid)


def _sides(logits: Tensor, batch: Batch) -> dict[str, Callable[[], object]]:
    from torchmetrics.classification import MulticlassJaccardIndex

    metric, truth_i64 = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE), batch.targets.long()
    total = confusion_of(batch.targets, likeliest(logits), CLASSES)
    metric.update(logits, truth_i64)
    if not torch.equal(metric.confmat, total):
        raise SystemExit("the two sides did not count the same")
    targets = Targets(CLASSES, IGNORE, None)
    return {
        "regatta": lambda: total.add_(confusion_of(batch.targets, likeliest(logits), CLASSES)),
        "torchmetrics": lambda: metric.update(logits, truth_i64),
        "argmax alone": lambda: logits.argmax(1),
        "regatta, likeliest class alone": lambda: likeliest(logits),
        "regatta, with the loss": lambda: SEGMENTATION.count(logits, batch, targets),
    }


def _images_per_s(side: Callable[[], object], size: int, rounds: int) -> Callable[[], float]:
    def measured() -> float:
        began_s = time.perf_counter()
        with torch.inference_mode():
            for _ in range(rounds):
                side()
        return rounds * size / (time.perf_counter() - began_s)

    return measured


if __name__ == "__main__":
    main()
