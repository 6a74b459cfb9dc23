"""A data set's card: one YAML file that says where it comes from, what it holds and how to read it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from regatta.errors import RegattaError, nearest
from regatta.settings.origin import (
    SPLITS,
    FormatName,
    SceneSpec,
    SourceFile,
    SplitName,
    SplitSource,
    check_place,
)
from regatta.settings.reading import Frozen, parse, read_yaml

ProblemName = Literal["classification", "segmentation"]
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
"""A data set's name becomes a folder: nothing in it can leave the project."""


class ImageSpec(Frozen):
    """Shape every image is brought to before training reads it."""

    height_px: Annotated[int, Field(ge=1, le=8192)]
    width_px: Annotated[int, Field(ge=1, le=8192)]
    channels: Literal[1, 3] = 3
    resize: Literal["stretch", "letterbox"] = "letterbox"
    """letterbox keeps the proportions and pads (masks with the ignore label)."""


class Card(Frozen):
    """A data set as its card describes it. `name` is the file's stem."""

    name: str
    title: str
    problem: ProblemName
    format: FormatName
    licence: str
    citation: str
    homepage: str = ""
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=255)]
    ignore_label: Annotated[int, Field(ge=0, le=255)] | None = None
    """Segmentation: the mask value that is not scored. Must not be a class index."""
    image: ImageSpec
    splits: dict[SplitName, SplitSource]
    split_seed: Annotated[int, Field(ge=0)] = 0
    files: tuple[SourceFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    """Addresses of folders that hold `files`, tried in order."""
    path: str | None = None
    """Own data: a folder on this machine (absolute, `~`, or relative to the project)."""
    scenes: SceneSpec | None = None
    unreadable_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a split's files that may be left out when they cannot be read; 0 stops at the first."""
    unpacked_bytes_max: Annotated[int, Field(gt=0)] = 20 * 2**30
    """Bound on what the archives may unpack to; each file and folder counts for 4096 at least."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Card":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: each name may stand only once")
        if self.ignore_label is not None and self.ignore_label < len(self.classes):
            raise ValueError(f"ignore_label: {self.ignore_label} is also the index of a class")
        segmentation_format = self.format in ("scenes", "mask-folder")
        if segmentation_format != (self.problem == "segmentation"):
            raise ValueError(f"format '{self.format}' does not hold {self.problem} data")
        return self

    @model_validator(mode="after")
    def _splits_have_a_place(self) -> "Card":
        for split in SPLITS:
            if split not in self.splits:
                raise ValueError(f"splits: '{split}' is missing; give its place, or a fraction of train")
            check_place(split, self.splits[split], self.format)
        if sum(source.fraction or 0 for source in self.splits.values()) >= 1:
            raise ValueError("splits: the fractions leave nothing to train on")
        return self

    @model_validator(mode="after")
    def _has_an_origin(self) -> "Card":
        if self.format in ("digits", "scenes"):
            if self.path or self.files:
                raise ValueError(f"format '{self.format}' is made here: it takes neither path nor files")
        elif self.path and self.format not in ("image-folder", "mask-folder"):
            raise ValueError(
                f"format '{self.format}' is fetched: 'path' goes with image-folder and mask-folder"
            )
        elif bool(self.path) == bool(self.files):
            raise ValueError("give either 'path' (own data) or 'files' (to be fetched)")
        if (self.format == "scenes") != (self.scenes is not None):
            raise ValueError("'scenes' goes with format 'scenes', and only with it")
        return self

    @property
    def label_range(self) -> str:
        """The mask values that are allowed, in words."""
        ignored = f" and {self.ignore_label} (ignored)" if self.ignore_label is not None else ""
        return f"0-{len(self.classes) - 1}{ignored}"


def read_card(name: str, folder: Path = Path("datasets")) -> Card:
    """The card `datasets/NAME.yaml`.

    Raises:
        RegattaError: there is no such card, or something in it is wrong.
    """
    path = folder / f"{name}.yaml"
    if not NAME.fullmatch(name):
        raise RegattaError(
            f"data set name {name!r}: use lower-case letters, digits, '-', '_' or '.', at most 64"
        )
    if not path.is_file():
        raise RegattaError(f"{path}: no card for data set '{name}': {nearest(name, card_names(folder))}")
    content: dict[str, Any] = read_yaml(path)
    return parse(Card, content | {"name": name}, str(path))


def card_names(folder: Path = Path("datasets")) -> list[str]:
    """Names of all data sets that have a card."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
