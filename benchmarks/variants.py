"""Steps in bf16, and compiled, against the same steps in fp32: on one batch that is already in memory.

    python -m benchmarks.variants [--mirror DIR] [--camvid DIR] [--pairs N] [--only RUN …]

DIR as for `python -m benchmarks.loops`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from benchmarks.loops.cases import CASES, Case
from benchmarks.loops.data import Origin, lay_out
from benchmarks.loops.engine import measured
from benchmarks.loops.questions import Question
from benchmarks.loops.side import job_in
from benchmarks.measuring import PAIRS, Goal, Sample, in_turn, page, write
from regatta.allocation import keep_freed_memory
from regatta.engine.job import Job
from regatta.engine.linear import OneDnnLinear
from regatta.engine.parts import Parts, assemble
from regatta.engine.world import World
from tasks.train import network_of

FP32, BF16, COMPILED = "fp32", "bf16", "fp32, compiled"
HEAD = """# Steps in bf16, and compiled

Made by `python -m benchmarks.variants`, with {data}. Samples a second
of the engine's step (`train_step`) on one batch in memory, {threads} threads: in fp32; in bf16
(`precision: bf16`); in fp32 with the network compiled by `torch.compile`, which the engine does not do. What
these are for is a decision for each net, so there is no goal. "Until compiled" is what its first two steps
take: so many seconds training has to win back."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.variants", description="bf16 and torch.compile"
    )
    parser.add_argument("--mirror", type=lambda path: Path(path).absolute())
    parser.add_argument("--camvid", type=lambda path: Path(path).absolute())
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--only", nargs="+", help="these runs; printed and not written")
    wanted = parser.parse_args(argv)
    keep_freed_memory()
    origin, samples = Origin(wanted.mirror, wanted.camvid), list[Sample]()
    with (
        tempfile.TemporaryDirectory(prefix="regatta-variants-") as parent,
        chdir(lay_out(Path(parent) / "project", origin)),
    ):
        # What a compiler of an hour ago left in the machine's cache would not have to be waited for.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(parent) / "compiled")
        cases = [case for case in CASES if not wanted.only or case.run in wanted.only]
        for case in cases:
            samples += _in_turn(case, wanted.pairs)
    goals = [Goal(case.run, side, FP32) for case in cases for side in (BF16, COMPILED)]
    if wanted.only:
        print(page(samples, goals))
        return
    write("variants", HEAD.format(data=origin, threads=torch.get_num_threads()), samples, goals)


def _in_turn(case: Case, pairs: int) -> list[Sample]:
    job = job_in(Path("sides") / case.run, case.run)
    sides = {FP32: _parts(job, FP32), BF16: _parts(job, BF16), COMPILED: _compiled(_parts(job, COMPILED))}
    began_s = time.perf_counter()
    _samples_per_s(sides[COMPILED], steps=2)
    compiling = Sample(f"{case.run}: until compiled", 0, COMPILED, time.perf_counter() - began_s, "s")
    timed: dict[str, Callable[[], float]] = {
        name: partial(_samples_per_s, parts, case.steps, case.warm_up_steps) for name, parts in sides.items()
    }
    return [*in_turn(case.run, "samples/s", timed, pairs), compiling]


def _parts(job: Job, side: str) -> Parts:
    recipe = job.recipe.model_copy(update={"precision": BF16 if side == BF16 else FP32})
    own = job.model_copy(update={"recipe": recipe, "folder": job.folder / side})
    return assemble(own, network_of(own), World())


def _compiled(parts: Parts) -> Parts:
    for module in parts.network.modules():
        if type(module) is OneDnnLinear:  # The compiler has a way of its own to oneDNN, and refuses ours.
            cast("Any", module).__class__ = nn.Linear
    return replace(parts, parallel=torch.compile(parts.parallel))


def _samples_per_s(parts: Parts, steps: int, warm_up_steps: int = 0) -> float:
    return measured(parts, Question(steps, warm_up_steps, "step"), lambda line: None).samples_per_s


if __name__ == "__main__":
    main()
