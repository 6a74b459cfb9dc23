"""FPN: a pyramid of maps, each enriched from the coarser one, summed at a quarter of the image's size."""

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

    return assembled(smp.FPN, "fpn", spec, options)


FAMILY = Family(
    name="fpn",
    problem="segmentation",
    paper="Kirillov, Girshick, He, Dollár 2019, Panoptic Feature Pyramid Networks, arXiv 1901.02446",
    build=build,
    options=EncoderOptions,
    recipe=DENSE,
)
