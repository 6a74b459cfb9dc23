"""Measure on a GPU: `python -m benchmarks.gpu`; written to gpu-[card]_[hardware]_[date].md and .csv.

    python -m benchmarks.gpu [--mirror DIR] [--pairs N] [--only cifar|dense]

DIR holds CIFAR-10's binary archive in cifar-10/; without it the card's own address is asked.
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.gpu import cifar, dense
from benchmarks.gpu.project import SCENES, SIDE_PX, lay_out
from benchmarks.measuring import PAIRS, Goal, Sample, write
from regatta.errors import RegattaError, one_line_errors

STEPS = 60
HEAD = f"""# On a GPU: {{card}}

Made by `python -m benchmarks.gpu`, sides in turn. *CIFAR-10*: `resnet18`, 30 epochs of batch 512 in bf16, by
`dvc repro evaluate@speed` (training, validation, checkpoints, evaluation and figures; the data is packed) and
by one plain script with the whole data set on the card (`benchmarks/gpu/plain.py`), each from the start of
its process to its score, with another seed in every pair. *deeplabv3plus*: ResNet-50, bf16, batch 16 of
{SIDE_PX}×{SIDE_PX}, {SCENES} painted scenes, {STEPS} steps a turn; the same net in torchvision's reference
loop (`benchmarks/gpu/reference.py`) with a DataLoader process for each core; the engine's own step on one
batch. *Arithmetic* counts the FLOPs of forward and backward; *the card's best* is the better of a matrix
product of 8192×8192 and a convolution of 256 channels."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write down.

    Raises:
        RegattaError: there is no CUDA device.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Measure on a GPU")
    parser.add_argument("--mirror", type=Path, help="folder of cifar-10/ with its archive")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="times that each side measures itself")
    parser.add_argument("--only", choices=["cifar", "dense"])
    wanted = parser.parse_args(argv)
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="regatta-gpu-") as parent:
        if not torch.cuda.is_available():
            raise RegattaError("no CUDA device here: benchmarks.gpu measures on one, and needs nothing else")
        project = lay_out(Path(parent) / "project", wanted.mirror)
        samples, goals = list[Sample](), list[Goal]()
        if wanted.only != "dense":
            samples, goals = cifar.measured(project, wanted.pairs, "cuda"), list(cifar.GOALS)
        if wanted.only != "cifar":
            samples += dense.measured(project, wanted.pairs, STEPS, torch.device("cuda", 0))
            goals += dense.GOALS
    card = torch.cuda.get_device_name()
    name = "-".join(["gpu", *re.findall(r"\w+", card), *([wanted.only] if wanted.only else [])])
    write(name, HEAD.format(card=card), samples, goals)


if __name__ == "__main__":
    main()
