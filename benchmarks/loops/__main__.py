"""Training loops side by side: `python -m benchmarks.loops`; written to loops_[hardware]_[date].md and .csv.

    python -m benchmarks.loops [--mirror DIR] [--camvid DIR] [--pairs N] [--only RUN …]

DIR of --mirror holds the archives of FashionMNIST and CIFAR-10 in fashion-mnist/ and cifar-10/, that of
--camvid the folders train, trainannot, val and valannot. Without them data are made.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.loops.cases import (
    CASES,
    RAY_OFTEN,
    RAY_STEPS,
    TWO_WORKERS,
    WORKERS_STEPS,
    goals_of,
    goals_of_ray,
    goals_of_workers,
)
from benchmarks.loops.data import Origin, lay_out
from benchmarks.loops.matches import against_others, one_against_two, plain_against_ray
from benchmarks.measuring import PAIRS, Goal, Sample, page, write
from regatta.errors import one_line_errors

Match = Callable[[], list[Sample]]

HEAD = """# Training loops

Made by `python -m benchmarks.loops`, with {data}. Samples a second in fp32; every side trains the same net
(built by the same function) with the same optimiser and batch on the same data, for a fixed number of steps
after a warm-up. Each is a process that sleeps while others measure, so that what the engine sets for its
process serves the engine alone; on all cores, but where threads are named.

- *ours* is `train_epoch` under `regatta.cluster`, as `tasks.train` has it, with reading, journal and all;
  *one batch in memory* is the same process with its `train_step` on the same batch again and again.
- *tutorial's loop* is PyTorch's quickstart (FashionMNIST) or CIFAR-10 tutorial, and for CamVid the same loop
  over a Dataset of one's own; images by PIL, `ToTensor`, `Normalize`, a DataLoader of 0, 2 and as many
  processes as there are cores.
- *Lightning* is its Trainer with that very DataLoader; its progress bar, summary and checkpoints are off.
- `unet` and `fpn` have a ResNet-18 encoder, batch 8, at 240×180.
- *one Ray Train worker* is a real one on a Ray of its own; the *plain engine* is the same without Ray.
- *1 × 1* is one worker of one thread, *2 × 1* two real Ray workers of one thread each. They *share a batch*
  as this project has it: each computes half of it, so that a step is a step for any number of workers.
  *A batch each* is twice that batch, as torch's own DDP counts: each then has the batch of the one.
  *Two of 1 × 1 at once* are two runs that know nothing of each other, added up: what the cores can give.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loops", description="Training loops in turn")
    parser.add_argument("--mirror", type=Path, help="folder of fashion-mnist/ and cifar-10/ archives")
    parser.add_argument("--camvid", type=Path, help="folder of CamVid's train, trainannot, val, valannot")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="times that each side measures itself")
    parser.add_argument("--only", nargs="+", help="these runs; printed and not written")
    wanted = parser.parse_args(argv)
    origin = Origin(wanted.mirror, wanted.camvid)
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="regatta-loops-") as parent:
        project = lay_out(Path(parent) / "project", origin)
        samples, goals = measured(project, wanted.pairs, wanted.only)
    if wanted.only:
        print(page(samples, goals))
    else:
        write("loops", HEAD.format(data=origin), samples, goals)


def measured(project: Path, pairs: int, only: Sequence[str] | None) -> tuple[list[Sample], list[Goal]]:
    """All matches, or those of the runs named, one after the other."""
    samples: list[Sample] = []
    goals: list[Goal] = []
    for run, match, match_goals in matches(project, pairs):
        if not only or run in only:
            samples += match()
            goals += match_goals
    return samples, goals


def matches(project: Path, pairs: int) -> Iterator[tuple[str, Match, list[Goal]]]:
    """Each match, with its run and its goals."""
    for case in CASES:
        yield case.run, partial(against_others, project, case, pairs * case.often), goals_of(case)
    for run, steps in RAY_STEPS.items():
        yield run, partial(plain_against_ray, project, run, steps, pairs * RAY_OFTEN), goals_of_ray(run)
    for run, steps in WORKERS_STEPS.items():
        for two in TWO_WORKERS:
            yield run, partial(one_against_two, project, run, two, steps, pairs), goals_of_workers(run, two)


if __name__ == "__main__":
    main()
