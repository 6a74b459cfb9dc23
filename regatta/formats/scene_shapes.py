"""The shapes and textures that scenes are painted from: plain arithmetic on coordinate grids.

A shape is a predicate on local coordinates u, v (f64[H W], the shape fills about [-1, 1]²).
A texture is a field f64[H W] in [0, 1] that later blends two colours; which texture and which
colours an object gets is drawn independently of its shape.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Region = NDArray[np.bool_]

TRIANGLE = [(math.sin(math.tau * k / 3), math.cos(math.tau * k / 3)) for k in range(3)]
PENTAGON = [(math.sin(math.tau * k / 5), math.cos(math.tau * k / 5)) for k in range(5)]
"""Directions in which the sides face; the first faces down, so that a corner is on top."""


def disc(u: Field, v: Field) -> Region:
    return u * u + v * v < 0.80


def square(u: Field, v: Field) -> Region:
    return np.maximum(np.abs(u), np.abs(v)) < 0.80


def triangle(u: Field, v: Field) -> Region:
    return np.max([a * u + b * v for a, b in TRIANGLE], axis=0) < 0.55


def star(u: Field, v: Field) -> Region:
    """A pentagram: inside at least four of the five lines that its sides lie on."""
    return np.sum([a * u + b * v < 0.34 for a, b in PENTAGON], axis=0) >= 4


def ring(u: Field, v: Field) -> Region:
    squared = u * u + v * v
    return (squared < 0.90) & (squared > 0.26)


def cross(u: Field, v: Field) -> Region:
    narrow, wide = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
    return (narrow < 0.31) & (wide < 0.95)


SHAPES: dict[str, Callable[[Field, Field], Region]] = {
    "disc": disc,
    "square": square,
    "triangle": triangle,
    "star": star,
    "ring": ring,
    "cross": cross,
}
CLASSES = ("ground", *SHAPES)
"""Label i of a mask is CLASSES[i]."""


def wave(rng: np.random.Generator, x: Field, y: Field, period_px: tuple[float, float]) -> Field:
    """A plane wave of random direction, period and phase, in [-1, 1]."""
    angle, phase = rng.uniform(0, math.tau, 2)
    turn = math.tau / rng.uniform(*period_px)
    return np.sin(turn * (math.cos(angle) * x + math.sin(angle) * y) + phase)


def stripes(rng: np.random.Generator, x: Field, y: Field) -> Field:
    return 0.5 + 0.5 * wave(rng, x, y, (4, 10))


def checks(rng: np.random.Generator, x: Field, y: Field) -> Field:
    return (wave(rng, x, y, (6, 12)) * wave(rng, x, y, (6, 12)) > 0).astype(np.float64)


def clouds(rng: np.random.Generator, x: Field, y: Field) -> Field:
    return 0.5 + 0.125 * np.sum([wave(rng, x, y, (8, 40)) for _ in range(4)], axis=0)


def grains(rng: np.random.Generator, x: Field, y: Field) -> Field:
    coarse = rng.random((x.shape[0] // 4 + 1, x.shape[1] // 4 + 1))
    return coarse.repeat(4, axis=0).repeat(4, axis=1)[: x.shape[0], : x.shape[1]]


TEXTURES = (stripes, checks, clouds, grains)
