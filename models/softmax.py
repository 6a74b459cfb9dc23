"""Softmax regression: one linear layer over all pixels. What every other family has to beat.

This is also the shortest family there is. To add one of your own:
 1. copy this file to `models/NAME.py`, and set `name` in FAMILY to the same NAME;
 2. let `build` return your network: it is told channels, height, width and classes, and its forward maps
    images f32[B C H W], already normalised, to logits: f32[B K], or f32[B K H W] for segmentation;
 3. list it in `models/__init__.py` and give it a row in `tests/test_families.py`.
"""

from torch import nn

from models.family import Family, InputSpec, Options


class SoftmaxOptions(Options):
    """Options of softmax: none. A field here, say `width: int = 64`, could be set in params.yaml."""


def build(spec: InputSpec, options: SoftmaxOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K]; any size."""
    pixels = spec.channels * spec.height_px * spec.width_px
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, spec.classes))


FAMILY = Family(
    name="softmax",
    problem="classification",
    paper="Cox 1958, The Regression Analysis of Binary Sequences, doi 10.1111/j.2517-6161.1958.tb00292.x",
    build=build,
    options=SoftmaxOptions,
    recipe={"optimiser": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "cosine", "batch_size": 64},
)
