"""Scales of the page's charts: values to places in an SVG, and round numbers to write beside them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from regatta.reporting.columns import compact


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` laid along a line from `start_px` to `end_px`."""

    low: float
    high: float
    start_px: float
    end_px: float
    is_log: bool = False

    def place_px(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.is_log else v for v in (self.low, self.high, value))
        return round(self.start_px + (at - low) / (high - low) * (self.end_px - self.start_px), 1)

    def ticks(self, wanted: int = 5) -> list[tuple[float, str]]:
        """Places in pixels and what to write there."""
        values = (
            _log_values(self.low, self.high) if self.is_log else _even_values(self.low, self.high, wanted)
        )
        return [(self.place_px(value), _write(value)) for value in values]


def linear_axis(values: Iterable[float], start_px: float, end_px: float, bounds: tuple[float, float]) -> Axis:
    """An axis with some air around *values*, which never leaves *bounds* (say, scores end at 100 %)."""
    low, high = _extent(values)
    air = (high - low) * 0.12 or abs(high) * 0.05 or 0.5
    return Axis(max(low - air, bounds[0]), min(high + air, bounds[1]), start_px, end_px)


def log_axis(values: Iterable[float], start_px: float, end_px: float) -> Axis:
    """An axis by powers of ten; *values* must be above 0."""
    low, high = _extent(values)
    air = max((high / low) ** 0.12, 1.25)
    return Axis(low / air, high * air, start_px, end_px, is_log=True)


def _write(value: float) -> str:
    """Round numbers lose the zeros behind their point: "2.50 k" → "2.5 k"."""
    number, _, letter = compact(value).partition(" ")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + (f" {letter}" if letter else "")


def _extent(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    return (min(found), max(found)) if found else (0.0, 1.0)


def _even_values(low: float, high: float, wanted: int) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten within the range."""
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _log_values(low: float, high: float) -> list[float]:
    """1, 2, 5 of each decade; only 1 over many decades, more than that within a single one."""
    decades = math.log10(high / low)
    factors = (1,) if decades > 2.5 else (1, 2, 5) if decades > 0.7 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [round(factor * 10.0**power, 12) for power in powers for factor in factors]
    return [value for value in values if low <= value <= high]
