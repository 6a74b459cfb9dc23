"""The one on-disk form that training reads: what lies where, in which shape.

    data/packed/D/
        schema.json              Schema
        .manifest.json           see regatta/manifest.py
        report.json              data report: counts, sizes, duplicates across splits, unreadable files
        train|val|test/
            images.npy           u8[N H W C]
            targets.npy          i64[N] (classification) or u8[N H W] (segmentation)
            names.json           [N] the source's name of each sample

Images lie with channels last, as decoders give them: a permuted view of a gathered batch is then
a channels_last u8[B C H W] without a copy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regatta.arrays import open_array
from regatta.digest import digest_of_file
from regatta.errors import RegattaError
from regatta.manifest import MANIFEST
from regatta.names import Names
from regatta.settings.card import ProblemName
from regatta.settings.reading import Frozen


class Schema(Frozen):
    """What a packed data set holds."""

    format_version: Literal[1] = 1
    """Another one is of another version of this file."""
    dataset: str
    problem: ProblemName
    classes: tuple[str, ...]
    ignore_label: int | None
    channels: int
    height_px: int
    width_px: int
    mean: tuple[float, ...]
    """Per channel, of the training split, in [0, 1]."""
    std: tuple[float, ...]
    counts: dict[str, int]
    """Samples per split."""
    class_counts: dict[str, tuple[int, ...]]
    """Per split and class: samples (classification) or pixels (segmentation)."""


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped read-only."""

    images: NDArray[np.uint8]
    """u8[N H W C]"""
    targets: NDArray[Any]
    """i64[N] or u8[N H W]"""
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Packed:
    """A packed data set: its schema, and a digest over every byte of it (through the manifest)."""

    path: Path
    digest: str
    schema: Schema

    def split(self, name: str) -> Split:
        """Memory-mapped arrays of the split *name* (train, val or test).

        Raises:
            RegattaError: a file is missing or damaged.
        """
        folder, stage = self.path / name, f"preprocess@{self.schema.dataset}"
        images = open_array(folder / "images.npy", stage)
        targets = open_array(folder / "targets.npy", stage)
        try:
            names = Names(json.loads((folder / "names.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            raise RegattaError(f"{folder}/names.json: missing or damaged; run 'dvc repro {stage}'") from None
        return Split(images, targets, names)


def open_packed(path: Path) -> Packed:
    """The packed data set at *path*.

    Raises:
        RegattaError: it is not there, or was packed by another version of the format.
    """
    try:
        schema = Schema.model_validate_json((path / "schema.json").read_bytes())
        digest = digest_of_file(path / MANIFEST)
    except (FileNotFoundError, ValueError):
        raise RegattaError(
            f"{path}: no packed data set of this version's format; run 'dvc repro preprocess@{path.name}'"
        ) from None
    return Packed(path, digest, schema)
