"""U-Net: a decoder that takes in the encoder's maps of the same size at each step up.

The paper's encoder is one of its own, without BatchNorm or padding; here it is a classifier's.
"""

import functools

from torch import nn

from models.family import Family, InputSpec
from models.parts.recipes import DENSE
from models.parts.smp import EncoderOptions, assembled

DECODER_CHANNELS = (256, 128, 64, 32, 16)
"""From the deepest stage up; the library's own."""


def build(spec: InputSpec, options: EncoderOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K H W].

    Raises:
        SizeError: a side is below 32 px.
        ValueError: the encoder does not suit, or its weights cannot be fetched.
    """
    # Imported late: the library costs seconds, and most processes build another family or none.
    import segmentation_models_pytorch as smp

    unet = functools.partial(smp.Unet, decoder_channels=DECODER_CHANNELS[-options.depth :])
    return assembled(unet, "unet", spec, options)


FAMILY = Family(
    name="unet",
    problem="segmentation",
    paper="Ronneberger, Fischer, Brox 2015, U-Net: Convolutional Networks for "
    "Biomedical Image Segmentation, arXiv 1505.04597",
    build=build,
    options=EncoderOptions,
    recipe=DENSE,
)
