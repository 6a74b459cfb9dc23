"""What is written beside a run's weights: all that is needed to build the network again and to trust it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from regatta.errors import RegattaError
from regatta.settings.card import NAME, ProblemName
from regatta.settings.reading import Frozen
from regatta.settings.recipe import Recipe

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
"""Becomes part of a path: a file that somebody altered must not lead out of the project either."""


class InputShape(Frozen):
    """What the network is fed."""

    channels: int
    height_px: int
    width_px: int


class TrainedRun(Frozen):
    """`trained/R/run.json`. The same inputs give the same bytes."""

    name: Name
    key: str
    """Digest of the packed data, the settings, and the sources of the family and the engine."""
    problem: ProblemName
    dataset: Name
    family: str
    options: dict[str, Any]
    settings: Recipe
    input: InputShape
    classes: tuple[str, ...]
    ignore_label: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data_digest: str
    settings_digest: str
    source_digest: str
    parameters: int
    flops: int
    """Floating-point operations of one image; a multiply-add counts as two."""
    best_epoch: int
    best_score: float
    epochs: int
    steps: int


def read_trained(folder: Path) -> TrainedRun:
    """The run whose weights lie in *folder* (`trained/R`).

    Raises:
        RegattaError: nothing was trained there, or by another version, or it is another run's.
    """
    try:
        trained = TrainedRun.model_validate_json((folder / "run.json").read_bytes())
    except (FileNotFoundError, ValueError):
        raise RegattaError(
            f"{folder}: no trained run of this version; run 'dvc repro train@{folder.name}'"
        ) from None
    if trained.name != folder.name:
        raise RegattaError(
            f"{folder}/run.json: is of run '{trained.name}'; run 'dvc repro train@{folder.name}'"
        )
    return trained
