"""FCN-32s: no skips: one score for each 32 x 32 pixels, enlarged at once. The coarsest of the three."""

from torch import nn

from models.family import Family, InputSpec
from models.parts.fcn import PAPER, FcnOptions, build_fcn
from models.parts.recipes import DENSE


def build(spec: InputSpec, options: FcnOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K H W].

    Raises:
        SizeError: a side is below 32 px.
    """
    return build_fcn(spec, options, stride_px=32)


FAMILY = Family(
    name="fcn32s",
    problem="segmentation",
    paper=PAPER,
    build=build,
    options=FcnOptions,
    recipe={**DENSE, "lr": 3e-3},
)
