"""Losses stay on the device until they are read back together: a read for each step would stop the device."""

import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from regatta.engine.world import World


@dataclass
class Meter:
    """Losses of the steps since the last reading."""

    world: World
    losses: list[Tensor] = field(default_factory=list[Tensor])
    """f32[] each, this worker's."""
    samples: int = 0
    began_s: float = field(default_factory=time.perf_counter)

    def add(self, loss: Tensor, samples: int) -> None:
        """Count a step of *samples* (over all workers)."""
        self.losses.append(loss)
        self.samples += samples

    def read(self) -> "Reading":
        """What was counted, over all workers; counting starts anew. The only host round trip of training."""
        losses = (self.world.total(torch.stack(self.losses)) / self.world.size).tolist()
        elapsed_s = time.perf_counter() - self.began_s
        reading = Reading(tuple(losses), self.samples, elapsed_s)
        self.losses, self.samples, self.began_s = [], 0, time.perf_counter()
        return reading


@dataclass(frozen=True)
class Reading:
    """Steps that were read back together."""

    losses: tuple[float, ...]
    samples: int
    elapsed_s: float

    @property
    def mean(self) -> float:
        return math.fsum(self.losses) / len(self.losses)

    @property
    def samples_per_s(self) -> float:
        return self.samples / max(self.elapsed_s, 1e-9)

    @property
    def first_not_finite(self) -> int | None:
        """Index of the first loss that is not a number, if any."""
        return next((i for i, loss in enumerate(self.losses) if not math.isfinite(loss)), None)
