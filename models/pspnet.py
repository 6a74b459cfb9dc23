"""PSPNet: context from averages over 1, 4, 9 and 36 regions of the image, read at an eighth of its size.

The eighth is the encoder's third stage; the paper's is all of a ResNet, its later stages dilated.
"""

import functools
from typing import Annotated

from pydantic import Field
from torch import nn

from models.family import Family, InputSpec
from models.parts.recipes import DENSE
from models.parts.smp import EncoderOptions, assembled


class PyramidOptions(EncoderOptions):
    """Options of PSPNet: it reads its encoder after *depth* halvings: three are an eighth of the size."""

    depth: Annotated[int, Field(ge=3, le=5)] = 3


def build(spec: InputSpec, options: PyramidOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K H W].

    Raises:
        SizeError: a side is below 32 px.
        ValueError: the encoder does not suit, or its weights cannot be fetched.
    """
    # Imported late: the library costs seconds, and most processes build another family or none.
    import segmentation_models_pytorch as smp

    pspnet = functools.partial(smp.PSPNet, upsampling=2**options.depth)
    return assembled(pspnet, "pspnet", spec, options)


FAMILY = Family(
    name="pspnet",
    problem="segmentation",
    paper="Zhao, Shi, Qi, Wang, Jia 2017, Pyramid Scene Parsing Network, arXiv 1612.01105",
    build=build,
    options=PyramidOptions,
    recipe=DENSE,
)
