"""DeepLabv3+: dilated convolutions at several rates, and a small decoder that mends the edges."""

from torch import nn

from models.family import Family, InputSpec
from models.parts.recipes import DENSE
from models.parts.smp import EncoderOptions, assembled


def build(spec: InputSpec, options: EncoderOptions) -> nn.Module:
    """f32[B C H W] to logits f32[B K H W].

    Raises:
        SizeError: a side is below 32 px.
        ValueError: the encoder does not suit, or its weights cannot be fetched.
    """
    # Imported late: the library costs seconds, and most processes build another family or none.
    import segmentation_models_pytorch as smp

    return assembled(smp.DeepLabV3Plus, "deeplabv3plus", spec, options)


FAMILY = Family(
    name="deeplabv3plus",
    problem="segmentation",
    paper="Chen, Zhu, Papandreou, Schroff, Adam 2018, Encoder-Decoder with "
    "Atrous Separable Convolution for Semantic Image Segmentation, arXiv 1802.02611",
    build=build,
    options=EncoderOptions,
    recipe=DENSE,
)
