"""A data set's card: one YAML file that says where it comes from, what it holds and how to read it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from regatta.errors import RegattaError, nearest
from regatta.settings.reading import Frozen, parse, read_yaml

ProblemName = Literal["classification", "segmentation"]
FormatName = Literal["digits", "scenes", "idx", "cifar-binary", "image-folder", "mask-folder"]
SPLITS = ("train", "val", "test")


class SourceFile(Frozen):
    """One file to fetch: `name` is appended to each mirror; exactly one checksum is required."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    size_bytes: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_a_checksum(self) -> "SourceFile":
        if (self.sha256 is None) == (self.md5 is None):
            raise ValueError(f"file '{self.name}' needs exactly one of sha256 and md5")
        return self


class ImageSpec(Frozen):
    """Shape every image is brought to before training reads it."""

    height_px: Annotated[int, Field(ge=1, le=8192)]
    width_px: Annotated[int, Field(ge=1, le=8192)]
    channels: Literal[1, 3] = 3
    resize: Literal["stretch", "letterbox"] = "letterbox"
    """letterbox keeps the proportions and pads (masks with the ignore label)."""


class SplitSource(Frozen):
    """Where a split's samples lie; which keys apply depends on the card's format.

    `fraction` takes a fixed, stratified, seeded part of the training split instead.
    """

    folder: str | None = None
    """image-folder: the folder that holds one folder per class."""
    images: str | None = None
    """mask-folder: the folder of images. idx: the file of images."""
    masks: str | None = None
    """mask-folder: the folder of masks, same file stems as the images."""
    labels: str | None = None
    """idx: the file of labels."""
    files: tuple[str, ...] = ()
    """cifar-binary: the .bin files, in order."""
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None


class SceneSpec(Frozen):
    """Counts and looks of the generated `scenes`; same spec, same bytes."""

    version: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0
    train: Annotated[int, Field(ge=0)]
    val: Annotated[int, Field(ge=0)]
    test: Annotated[int, Field(ge=0)]
    height_px: Annotated[int, Field(ge=16)] = 96
    width_px: Annotated[int, Field(ge=16)] = 96


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
    splits: dict[Literal["train", "val", "test"], SplitSource]
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
    """Bound on what the archives may unpack to."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Card":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: each name may stand only once")
        if self.ignore_label is not None and self.ignore_label < len(self.classes):
            raise ValueError(f"ignore_label: {self.ignore_label} is also the index of a class")
        for split in SPLITS:
            if split not in self.splits:
                raise ValueError(f"splits: '{split}' is missing; give its place, or a fraction of train")
        if self.splits["train"].fraction is not None:
            raise ValueError("splits.train: cannot be a fraction of itself")
        segmentation_format = self.format in ("scenes", "mask-folder")
        if segmentation_format != (self.problem == "segmentation"):
            raise ValueError(f"format '{self.format}' does not hold {self.problem} data")
        return self


def read_card(name: str, folder: Path = Path("datasets")) -> Card:
    """The card `datasets/NAME.yaml`.

    Raises:
        RegattaError: there is no such card, or something in it is wrong.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise RegattaError(f"{path}: no card for data set '{name}': {nearest(name, card_names(folder))}")
    content: dict[str, Any] = read_yaml(path)
    return parse(Card, {"name": name} | content, str(path))


def card_names(folder: Path = Path("datasets")) -> list[str]:
    """Names of all data sets that have a card."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
