"""Packing pictures: against a loop of Pillow's, and against decoding them and nothing else.

    python -m benchmarks.packing [--camvid DIR] [--mirror DIR]

DIR of --camvid holds train, trainannot, val and valannot; DIR of --mirror holds
cifar-10/cifar-10-binary*.tar.gz. Without them pictures of the same sizes and kinds are generated.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measuring import PAIRS, Goal, Sample, in_turn, write
from benchmarks.packing.cards import CARDS
from benchmarks.packing.pictures import generate_camvid, write_cifar
from benchmarks.packing.sides import DECODERS, LOOP, OURS, SIDES
from benchmarks.packing.steps import steps
from regatta.formats import open_split
from regatta.settings.card import Card
from regatta.settings.origin import SPLITS, SplitName

EACH_CORE = "a Pillow loop on each core"

HEAD = """# Packing: pictures in folders → memory-mapped arrays

Images per second of wall time, all cores together; {camvid}, {cifar}; the files lie in the page
cache. `regatta` is all of the preprocess stage's work: folders listed, pictures decoded, brought to size,
digested, counted, written, and a manifest of it. The Pillow loop makes the same arrays (this is checked) in
one process, and nothing else. *A Pillow loop on each core* is as many of those loops at once as there are
cores, each over all pictures, added up: what the cores can give to work of this kind. Decoding keeps nothing;
the bound is the fastest of four ways to decode, that of this project among them. Every side runs in a process
of its own, whose start and imports are not counted; the sides take turns. "One core" says where the time
goes, per sample: what is not decoding, the bound does not do.

Made again by `python -m benchmarks.packing [--camvid DIR] [--mirror DIR]`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _options(argv)
    with tempfile.TemporaryDirectory(prefix="regatta-packing-") as parent:
        folder = Path(parent)
        if not options.camvid:
            generate_camvid(folder / "camvid", options.share)
        write_cifar(options.mirror, folder / "cifar", options.share)
        samples: list[Sample] = []
        for name, card in CARDS.items():
            raw = options.camvid if card.name == "camvid" and options.camvid else folder / card.name
            samples += _measured(name, card, raw, folder, options.pairs)
    write("packing", _head(options), samples, [goal for name in CARDS for goal in _goals(name, samples)])


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packing", description="Measure packing")
    parser.add_argument("--camvid", type=lambda path: Path(path).absolute())
    parser.add_argument("--mirror", type=lambda path: Path(path).absolute())
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures to generate")
    return parser.parse_args(argv)


def _head(options: argparse.Namespace) -> str:
    return HEAD.format(
        camvid="CamVid's 468 photographs" if options.camvid else "468 generated photographs",
        cifar="CIFAR-10's first 10,000 pictures" if options.mirror else "10,000 generated small pictures",
    )


def _measured(name: str, card: Card, raw: Path, folder: Path, pairs: int) -> list[Sample]:
    files = {split: files_of(card, raw, split) for split in SPLITS}
    (folder / "files.json").write_text(json.dumps(files))
    made = folder / "made"

    def images_per_s(side: str, out: str) -> float:
        shutil.rmtree(made / out, ignore_errors=True)
        seconds = run_side(side, name, str(raw), str(folder / "files.json"), str(made / out))
        return sum(map(len, files.values())) / seconds

    def on_each_core() -> float:
        outs = [f"core-{core}" for core in range(os.cpu_count() or 1)]
        with ThreadPoolExecutor(len(outs)) as threads:
            return sum(threads.map(partial(images_per_s, LOOP), outs))

    sides: dict[str, Callable[[], float]] = {side: partial(images_per_s, side, side) for side in SIDES}
    samples = in_turn(name, "images/s", sides | {EACH_CORE: on_each_core}, pairs)
    check_same(made / OURS, made / LOOP)
    return samples + [sample for pair in range(pairs) for sample in steps(name, card, raw, pair)]


def files_of(card: Card, raw: Path, split: SplitName) -> list[tuple[str, str | None, int | None]]:
    """(image, mask or None, label or None) of every sample of a split, as paths from *raw*."""
    source = open_split(raw, card, split)
    if source.labels is not None:
        return [(name, None, int(label)) for name, label in zip(source.names, source.labels, strict=True)]
    return [(name, name.replace("/", "annot/").replace(".jpg", ".png"), None) for name in source.names]


def run_side(*arguments: str) -> float:
    """Seconds that a side says it took."""
    command = [sys.executable, "-m", "benchmarks.packing.sides", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def check_same(one: Path, other: Path) -> None:
    for split in SPLITS:
        for name in ("images.npy", "targets.npy"):
            ours, theirs = (np.lib.format.open_memmap(made / split / name, mode="r") for made in (one, other))
            if not np.array_equal(ours, theirs):
                raise SystemExit(f"{split}/{name}: the two sides did not make the same arrays")


def _goals(name: str, samples: Sequence[Sample]) -> list[Goal]:
    def speed(side: str) -> float:
        return median(one.value for one in samples if (one.measure, one.side) == (name, side))

    fastest = max(DECODERS, key=speed)
    return [
        Goal(name, OURS, LOOP, at_least=1.9),
        Goal(name, EACH_CORE, LOOP),
        Goal(name, OURS, EACH_CORE),
        Goal(name, OURS, fastest, at_least=0.85),
    ]


if __name__ == "__main__":
    main()
