"""What a person should know of a data set before training on it."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regatta.packed.statistics import DIGEST_BYTES, Sizes, Statistics
from regatta.settings.card import Card

EXAMPLES = 5


def data_report(
    card: Card, splits: Mapping[str, Statistics], ignored: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Counts, source sizes, unreadable and ignored files per split, and exact duplicates across splits."""
    unit = "samples" if card.problem == "classification" else "pixels"
    return {
        "dataset": card.name,
        "splits": {
            name: {
                "samples": len(found.names),
                f"{unit}_per_class": dict(zip(card.classes, found.class_counts, strict=True)),
                "source_size": source_size(found.sizes),
                "unreadable": [{"name": bad, "reason": reason} for bad, reason in found.unreadable],
                "ignored_files": list(ignored[name]),
            }
            for name, found in splits.items()
        },
        "duplicates": [
            duplicates(pair, splits[pair[0]], splits[pair[1]]) for pair in combinations(splits, 2)
        ],
    }


def notes(report: Mapping[str, Any]) -> list[str]:
    """The findings of a report that deserve a line on the screen."""
    lines: list[str] = []
    for name, split in report["splits"].items():
        counts = split.get("samples_per_class") or split["pixels_per_class"]
        absent = [label for label, count in counts.items() if not count]
        lines += [f"{name}: nothing of {_some(absent)}"] if absent else []
        bad, ignored = [one["name"] for one in split["unreadable"]], split["ignored_files"]
        lines += [f"{name}: left out {len(bad)} unreadable: {_some(bad)}"] if bad else []
        lines += [f"{name}: passed over {len(ignored)} files: {_some(ignored)}"] if ignored else []
    for pair in report["duplicates"]:
        if pair["count"]:
            one, other = pair["splits"]
            lines.append(f"{pair['count']} images of {other} are also in {one}: {_some(pair['examples'][0])}")
    return lines


def duplicates(pair: tuple[str, str], one: Statistics, other: Statistics) -> dict[str, Any]:
    """Samples of the second split whose decoded pixels are exactly those of one in the first."""
    first, second = _digests(one), _digests(other)
    again = np.flatnonzero(np.isin(second, first))
    shown = [(np.flatnonzero(first == second[at])[-1], at) for at in again[:EXAMPLES]]
    examples = [[one.names[int(before)], other.names[int(at)]] for before, at in shown]
    return {"splits": list(pair), "count": len(again), "examples": examples}


def _digests(found: Statistics) -> NDArray[np.bytes_]:
    """[N]; numpy compares them as if zeros followed each, so that one that ends in zeros is no other."""
    return np.frombuffer(found.digests, f"S{DIGEST_BYTES}")


def source_size(sizes: Sizes) -> dict[str, Any]:
    """Smallest, median and largest width and height, and how many sizes there are."""
    widths = sorted(width for (width, _), count in sizes.items() for _ in range(count))
    heights = sorted(height for (_, height), count in sizes.items() for _ in range(count))
    return {"different": len(sizes), "width_px": _spread(widths), "height_px": _spread(heights)}


def _spread(ascending: Sequence[int]) -> dict[str, int]:
    return {"min": ascending[0], "median": ascending[math.ceil(len(ascending) / 2) - 1], "max": ascending[-1]}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more
