"""Paints one scene: textured shapes that overlap on a textured ground, lit unevenly, with noise.

Shapes tend to be lighter than the ground; beyond that, colour and texture are drawn independently of
the class, so neither gives it away: a network has to see the outline, under occlusion, leaning,
stretching and at sizes that differ by a factor of two.
Painted at twice the size and averaged down, so that edges are mixed as a camera mixes them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regatta.formats.scene_shapes import CLASSES, SHAPES, TEXTURES, Field, Region
from regatta.settings.origin import SceneSpec

FINE = 2
"""Fine pixels per pixel, each way."""
GROUND, BAR, SHAPE = (0.0, 0.5), (0.0, 0.6), (0.3, 1.0)
"""Ranges of each channel of their colours. They overlap; with equal ranges a small U-Net took four times as
long to tell shapes from ground, which is not what they are compared for."""
VISIBLE_SHARE_MIN = 0.5
"""No new shape leaves less than this of what is to be seen of another."""
CONTRAST_MIN = 0.8
"""Between a shape's colour and what it is painted on: absolute differences of the channels, summed."""
TURN = math.radians(25)
"""Shapes lean to either side by no more."""
REACH = 1.5
"""No shape reaches farther from its middle, in radii, whatever its stretch and turn."""

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Scene:
    """One painted scene; pixel values 0-255, row-major."""

    image: NDArray[np.uint8]
    """u8[H W 3]"""
    labels: NDArray[np.uint8]
    """u8[H W], index into CLASSES"""
    instances: NDArray[np.uint8]
    """u8[H W], 0 is ground, else one number per shape"""


@dataclass
class _Canvas:
    """What is painted so far, on the fine grid."""

    x: Field
    y: Field
    colour: Field
    """f64[H W 3] in [0, 1]"""
    instances: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def paint(spec: SceneSpec, split: int, index: int) -> Scene:
    """Scene *index* of the split number *split*: a pure function of its arguments."""
    rng = np.random.default_rng([spec.seed, spec.version, split, index])
    canvas = _ground(rng, spec.height_px, spec.width_px)
    for _ in range(rng.integers(0, 3)):
        _add_bar(rng, canvas)
    for number in range(1, 1 + rng.integers(3, 6)):
        _add_shape(rng, canvas, number)
    image = _photograph(rng, canvas)
    return Scene(image, _coarse(canvas.labels), _coarse(canvas.instances))


def _ground(rng: np.random.Generator, height_px: int, width_px: int) -> _Canvas:
    y, x = (np.mgrid[0 : height_px * FINE, 0 : width_px * FINE] + 0.5) / FINE
    nothing = np.zeros(x.shape, np.uint8)
    return _Canvas(x, y, _paint_of(rng, x, y, rng.uniform(*GROUND, 3)), nothing, nothing.copy())


def _paint_of(rng: np.random.Generator, x: Field, y: Field, base: NDArray[np.float64]) -> Field:
    """A texture f64[H W 3] that goes from colour *base* to another one."""
    field = TEXTURES[rng.integers(len(TEXTURES))](rng, x, y)
    other = np.clip(base + rng.uniform(-0.25, 0.25, 3), 0, 1)
    return base + field[..., None] * (other - base)


def _add_bar(rng: np.random.Generator, canvas: _Canvas) -> None:
    """Clutter that belongs to the ground."""
    angle = rng.uniform(0, math.tau)
    across = math.cos(angle) * canvas.x + math.sin(angle) * canvas.y
    middle = rng.uniform(across.min(), across.max())
    region = np.abs(across - middle) < rng.uniform(0.5, 2.5)
    canvas.colour[region] = rng.uniform(*BAR, 3)


def _add_shape(rng: np.random.Generator, canvas: _Canvas, number: int) -> None:
    """Paint a random shape where it stands out and leaves the others visible; none after 20 tries."""
    kind = int(rng.integers(1, len(CLASSES)))
    for _ in range(20):
        window, region = _region(rng, canvas, CLASSES[kind])
        colour = rng.uniform(*SHAPE, 3)
        if not _leaves_others_visible(canvas, window, region):
            continue
        if np.abs(canvas.colour[window][region].mean(axis=0) - colour).sum() < CONTRAST_MIN:
            continue
        painted = _paint_of(rng, canvas.x[window], canvas.y[window], colour)
        canvas.colour[window][region] = painted[region]
        canvas.instances[window][region], canvas.labels[window][region] = number, kind
        return


def _region(rng: np.random.Generator, canvas: _Canvas, shape: str) -> tuple[Window, Region]:
    """A random place, turn, size and stretch for *shape*: where it may lie, and which of that it fills."""
    height_px, width_px = canvas.x.shape[0] / FINE, canvas.x.shape[1] / FINE
    radius_px = min(height_px, width_px) * 0.16 * 2.2 ** rng.random()
    x_px = rng.uniform(0.5 * radius_px, width_px - 0.5 * radius_px)
    y_px = rng.uniform(0.5 * radius_px, height_px - 0.5 * radius_px)
    window = (_around(y_px, REACH * radius_px), _around(x_px, REACH * radius_px))
    dx, dy = canvas.x[window] - x_px, canvas.y[window] - y_px
    angle, stretch = rng.uniform(-TURN, TURN), rng.uniform(0.85, 1.18)
    cos, sin = math.cos(angle) / radius_px, math.sin(angle) / radius_px
    return window, SHAPES[shape]((cos * dx + sin * dy) * stretch, (cos * dy - sin * dx) / stretch)


def _around(middle_px: float, reach_px: float) -> slice:
    return slice(max(0, int((middle_px - reach_px) * FINE)), int((middle_px + reach_px) * FINE) + 1)


def _leaves_others_visible(canvas: _Canvas, window: Window, region: Region) -> bool:
    """Whether every shape so far keeps its share, and the new one is inside the canvas at all."""
    before = np.bincount(canvas.instances.ravel(), minlength=256)
    hidden = np.bincount(canvas.instances[window][region], minlength=256)
    return bool(region.any() and np.all(hidden[1:] <= before[1:] * (1 - VISIBLE_SHARE_MIN)))


def _photograph(rng: np.random.Generator, canvas: _Canvas) -> NDArray[np.uint8]:
    """The canvas under uneven light, averaged to pixels, with sensor noise: u8[H W 3]."""
    height, width = canvas.x.shape
    angle, strength = rng.uniform(0, math.tau), rng.uniform(0, 0.6)
    along = math.cos(angle) * (canvas.x * FINE / width - 0.5) + math.sin(angle) * (
        canvas.y * FINE / height - 0.5
    )
    lit = canvas.colour * (rng.uniform(0.75, 1.1) + strength * along)[..., None]
    pixels = lit.reshape(height // FINE, FINE, width // FINE, FINE, 3).mean(axis=(1, 3))
    noisy = pixels + rng.normal(0, rng.uniform(0.01, 0.06), pixels.shape)
    return np.clip(np.rint(noisy * 255), 0, 255).astype(np.uint8)


def _coarse(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One fine pixel for each pixel."""
    return np.ascontiguousarray(fine[::FINE, ::FINE])
