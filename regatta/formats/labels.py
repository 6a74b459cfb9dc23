"""Labels that come as numbers must be indices into the card's classes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regatta.errors import RegattaError
from regatta.settings.card import Card


def check_labels(labels: NDArray[np.int64], card: Card, path: Path) -> None:
    """Raise RegattaError when a label is no class of the card; *path* is where the labels lie."""
    wrong = np.flatnonzero((labels < 0) | (labels >= len(card.classes)))
    if wrong.size:
        raise RegattaError(
            f"{path}: sample {wrong[0]} has label {labels[wrong[0]]}; "
            f"datasets/{card.name}.yaml has classes 0-{len(card.classes) - 1}"
        )
