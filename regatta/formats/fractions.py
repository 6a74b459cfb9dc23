"""Fixed parts of the training split for splits that the source does not have."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regatta.formats.source import Source
from regatta.settings.card import Card
from regatta.settings.origin import SPLITS, SplitName


def positions_of(card: Card, split: SplitName, source: Source) -> NDArray[np.int64]:
    """Ascending positions in the training *source* that belong to *split*.

    Within a class, samples are ranked by a digest of (split_seed, name), and each fraction takes the
    next ones. So a sample's place depends on nothing but the card and the names: not on a library's
    random numbers, and little on samples that are added later. Segmentation is one class.
    """
    labels = np.zeros(len(source), np.int64) if source.labels is None else source.labels
    shares = [card.splits[name].fraction or 0.0 for name in SPLITS[1:]]
    rank = np.argsort([_digest(card.split_seed, name) for name in source.names])
    taken = [_cut(rank[labels[rank] == label], shares)[split] for label in np.unique(labels)]
    return np.sort(np.concatenate(taken)) if taken else np.zeros(0, np.int64)


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).digest()


def _cut(ranked: NDArray[np.int64], shares: Sequence[float]) -> dict[SplitName, NDArray[np.int64]]:
    """One class cut into val, test and the rest; a share takes at least one while train keeps one."""
    cut: dict[SplitName, NDArray[np.int64]] = {}
    for split, share in zip(SPLITS[1:], shares, strict=True):
        count = max(1, round(share * len(ranked))) if share else 0
        begin = sum(len(part) for part in cut.values())
        cut[split] = ranked[begin : min(begin + count, len(ranked) - 1)]
    begin = sum(len(part) for part in cut.values())
    cut["train"] = ranked[begin:]
    return cut
