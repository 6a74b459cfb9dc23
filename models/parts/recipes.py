"""Settings that several families start from."""

from types import MappingProxyType
from typing import Any

DENSE = MappingProxyType[str, Any](
    {
        "optimiser": "adamw",
        "lr": 1e-3,
        "weight_decay": 1e-4,
        "schedule": "poly",
        "batch_size": 8,
        # Dice beside cross-entropy: where most pixels are ground, small classes are not drowned.
        "loss": {"ce": 1.0, "dice": 1.0},
    }
)
"""A class for every pixel, from scratch, on small data."""
