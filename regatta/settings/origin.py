"""Where a data set comes from, and where its splits lie once it is here: the parts of a card."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from regatta.settings.reading import Frozen

FormatName = Literal["digits", "scenes", "idx", "cifar-binary", "image-folder", "mask-folder"]
SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
PLACES: dict[FormatName, tuple[str, ...]] = {
    "digits": (),
    "scenes": (),
    "idx": ("images", "labels"),
    "cifar-binary": ("files",),
    "image-folder": ("folder",),
    "mask-folder": ("images", "masks"),
}
"""Keys that say, per format, where a split lies in data/raw/D."""


def _stays_below(place: str) -> str:
    """A relative path with '/' that cannot leave the folder it is relative to."""
    path = PurePosixPath(place)
    if not place or path.is_absolute() or ".." in path.parts or "\\" in place or "\0" in place:
        raise ValueError("must be a relative path with '/', without '..'")
    return place


Place = Annotated[str, AfterValidator(_stays_below)]


class SourceFile(Frozen):
    """One file to fetch: `name` is appended to each mirror; exactly one checksum is required."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    size_bytes: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_a_checksum(self) -> "SourceFile":
        if (self.sha256 is None) == (self.md5 is None):
            raise ValueError(f"file '{self.name}' needs exactly one of sha256 and md5")
        return self


class SplitSource(Frozen):
    """Where a split's samples lie; which keys apply depends on the card's format (`PLACES`).

    `fraction` takes a fixed, seeded part of the training split instead: stratified by class
    where a sample has one. Several splits may each take their fraction; none share a sample.
    """

    folder: Place | None = None
    """image-folder: the folder that holds one folder per class."""
    images: Place | None = None
    """mask-folder: the folder of images. idx: the file of images."""
    masks: Place | None = None
    """mask-folder: the folder of masks, same names as the images but for the suffix."""
    labels: Place | None = None
    """idx: the file of labels."""
    files: tuple[Place, ...] = ()
    """cifar-binary: the .bin files, in order."""
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None

    def given(self) -> set[str]:
        """Names of the keys that are set."""
        return {key for key, value in self if value}


class SceneSpec(Frozen):
    """Counts and looks of the generated `scenes`; same spec, same bytes."""

    version: Literal[1] = 1
    """Goes up when the generator's pictures change, so that an old card never means new pictures."""
    seed: Annotated[int, Field(ge=0)] = 0
    train: Annotated[int, Field(ge=1)]
    val: Annotated[int, Field(ge=1)]
    test: Annotated[int, Field(ge=1)]
    height_px: Annotated[int, Field(ge=32, le=1024)] = 64
    width_px: Annotated[int, Field(ge=32, le=1024)] = 64


def check_place(split: str, source: SplitSource, format_name: FormatName) -> None:
    """Raise ValueError unless a split has a fraction, or exactly the keys of its format."""
    needed, given = set(PLACES[format_name]), source.given()
    if source.fraction is not None and split == "train":
        raise ValueError("splits.train: cannot be a fraction of itself")
    if format_name == "digits" and split != "train":
        needed = {"fraction"}
    if given != {"fraction"} and given != needed:
        keys = " and ".join(sorted(needed)) or "no keys"
        raise ValueError(f"splits.{split}: format '{format_name}' takes {keys} here")
