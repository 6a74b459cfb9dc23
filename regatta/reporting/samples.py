"""Pictures of single samples, as a run sees them: the folder `samples/` of a run's figures.

samples.json                     list of SampleRecord
random_00017_image.png           KIND_ID_WHAT.png, WHAT in image, truth, prediction, error, activation
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regatta.errors import plain
from regatta.reporting.overlays import colour_errors, colour_image, colour_labels, enlarge, overlay_activation
from regatta.settings.reading import Frozen

Kind = Literal["best", "worst", "random"]


@dataclass(frozen=True)
class Sample:
    """One sample of the test split and what a run makes of it."""

    kind: Kind
    """Why it is shown; "random" samples are the same for every run of a data set."""
    id: int
    """Its index in the split."""
    name: str
    """The source's name of it."""
    image: NDArray[np.uint8]
    """u8[H W C], 1 or 3 channels, as packed."""
    truth: str | NDArray[np.uint8]
    """The class's name, or a label map u8[H W]."""
    prediction: str | NDArray[np.uint8]
    """As `truth`."""
    score: float
    """Probability given to the true class, or the picture's mean IoU: higher is better."""
    activation_map: NDArray[np.float32] | None = None
    """Class activation map f32[h w] of the predicted class, for families that have one."""


class SampleRecord(Frozen):
    """An entry of samples.json; pictures are file names beside it."""

    kind: Kind
    id: int
    name: str
    truth: str | None
    prediction: str | None
    score: float
    image: str
    truth_map: str | None = None
    prediction_map: str | None = None
    error_map: str | None = None
    activation_map: str | None = None


def write_samples(folder: Path, samples: Sequence[Sample], ignore_label: int | None = None) -> None:
    """Make *folder* with samples.json and the pictures of *samples*; same input, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [_write_sample(folder, sample, ignore_label) for sample in samples]
    listing = [record.model_dump() for record in records]
    (folder / "samples.json").write_text(
        json.dumps(listing, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _write_sample(folder: Path, sample: Sample, ignore_label: int | None) -> SampleRecord:
    names = {
        what: _write_png(folder, sample, what, picture) for what, picture in _pictures(sample, ignore_label)
    }
    return SampleRecord(
        kind=sample.kind,
        id=sample.id,
        name=plain(sample.name),
        truth=sample.truth if isinstance(sample.truth, str) else None,
        prediction=sample.prediction if isinstance(sample.prediction, str) else None,
        score=float(sample.score),
        image=names["image"],
        truth_map=names.get("truth"),
        prediction_map=names.get("prediction"),
        error_map=names.get("error"),
        activation_map=names.get("activation"),
    )


def _pictures(sample: Sample, ignore_label: int | None) -> list[tuple[str, NDArray[np.uint8]]]:
    """What there is to see of *sample*: names and pictures u8[H W 3]."""
    large = enlarge(colour_image(sample.image))
    pictures = [("image", large)]
    if sample.activation_map is not None:
        pictures.append(("activation", overlay_activation(large, sample.activation_map)))
    if isinstance(sample.truth, str) or isinstance(sample.prediction, str):
        return pictures
    errors = colour_errors(sample.image, sample.truth, sample.prediction, ignore_label)
    pictures.append(("truth", enlarge(colour_labels(sample.truth, ignore_label))))
    pictures.append(("prediction", enlarge(colour_labels(sample.prediction, ignore_label))))
    pictures.append(("error", enlarge(errors)))
    return pictures


def _write_png(folder: Path, sample: Sample, what: str, picture: NDArray[np.uint8]) -> str:
    name = f"{sample.kind}_{sample.id:05d}_{what}.png"
    Image.fromarray(picture).save(folder / name, format="PNG")
    return name
