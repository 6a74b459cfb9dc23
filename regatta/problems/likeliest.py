"""The class that is predicted, per pixel."""

from torch import Tensor
from torch.nn import functional

from regatta.problems.planes import in_planes


def likeliest(logits_BKHW: Tensor) -> Tensor:
    """[B H W]: the class with the largest logit; of equal ones the first, as argmax does.

    On a CPU argmax goes from class to class at every pixel. Pooling goes from pixel to pixel of every class,
    in vectors, and tells where the largest was: a thirtieth of the time; of logits that lie channels last,
    turning them into planes included, a third. The logits must be numbers, not NaN.
    """
    if logits_BKHW.device.type != "cpu":
        return logits_BKHW.argmax(1)
    batch, classes, height, width = logits_BKHW.shape
    planes_BKHW = in_planes(logits_BKHW.detach())
    # Pixels as channels, which the vectors are of, and classes as the rows of one window.
    window_BNK1 = planes_BKHW.view(batch, classes, 1, height * width).permute(0, 3, 1, 2)
    _, class_BN11 = functional.max_pool2d_with_indices(window_BNK1, (classes, 1))
    return class_BN11.view(batch, height, width)
