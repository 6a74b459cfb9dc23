"""Model families, one file each. FAMILIES is the only list of them.

Importing this costs no more than torch: families import torchvision, timm and
segmentation_models_pytorch only when they build.
"""

from models import (
    cnn,
    deeplabv3plus,
    fcn8s,
    fcn16s,
    fcn32s,
    fpn,
    lenet,
    mlp,
    pspnet,
    resnet18,
    segnet,
    softmax,
    unet,
    vgg16_gap,
)
from models.family import Family

FAMILIES: dict[str, Family] = {
    # classification
    "softmax": softmax.FAMILY,
    "mlp": mlp.FAMILY,
    "cnn": cnn.FAMILY,
    "lenet": lenet.FAMILY,
    "vgg16_gap": vgg16_gap.FAMILY,
    "resnet18": resnet18.FAMILY,
    # segmentation
    "fcn32s": fcn32s.FAMILY,
    "fcn16s": fcn16s.FAMILY,
    "fcn8s": fcn8s.FAMILY,
    "segnet": segnet.FAMILY,
    "unet": unet.FAMILY,
    "pspnet": pspnet.FAMILY,
    "fpn": fpn.FAMILY,
    "deeplabv3plus": deeplabv3plus.FAMILY,
}
