"""FCN-16s: adds the scores of pool4, so that its score map has a cell for 16 x 16 pixels."""

from torch import nn

from models.family import Family, InputSpec
from models.parts.fcn import PAPER, FcnOptions, build_fcn
from models.parts.recipes import DENSE


def build(spec: InputSpec, options: FcnOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K H W].

    Raises:
        SizeError: a side is below 32 px.
    """
    return build_fcn(spec, options, stride_px=16)


FAMILY = Family(
    name="fcn16s",
    problem="segmentation",
    paper=PAPER,
    build=build,
    options=FcnOptions,
    recipe={**DENSE, "lr": 3e-3},
)
