"""What packing one sample is made of, on one core, step by step."""

import time
from collections.abc import Callable
from pathlib import Path

from xxhash import xxh3_128

from benchmarks.measuring import Sample
from regatta.formats import open_split
from regatta.packed.block import read_block
from regatta.packed.fit import fit_image, fit_mask
from regatta.packed.statistics import channel_sums, class_counts, pixel_digest
from regatta.settings.card import Card

SAMPLES = 64


def steps(name: str, card: Card, raw: Path, pair: int) -> list[Sample]:
    """Milliseconds of one core per sample that each step takes; `all of it` is a block, with its Python."""
    source = open_split(raw, card, "train")
    few = range(min(SAMPLES, len(source)))
    read = [source.read(at) for at in few]
    block = read_block(source, few, card)
    masks = [one.mask for one in read if one.mask is not None]
    doings: dict[str, Callable[[], object]] = {
        "reading and decoding": lambda: [source.read(at) for at in few],
        "to the card's size": lambda: [fit_image(one.image, card) for one in read],
        "masks to it": lambda: [fit_mask(mask, card) for mask in masks],
        "digest of pixels": lambda: [pixel_digest(one.image) for one in read],
        "sums and counts": lambda: (
            channel_sums(block.images),
            class_counts(block.targets, len(card.classes)),
        ),
        "manifest": lambda: (xxh3_128(block.images.data), xxh3_128(block.targets.data)),
        "all of it": lambda: read_block(source, few, card),
    }
    return [Sample(f"{name}: one core", pair, step, _ms(do) / len(few), "ms") for step, do in doings.items()]


def _ms(do: Callable[[], object]) -> float:
    began_s = time.process_time()
    do()
    return 1e3 * (time.process_time() - began_s)
