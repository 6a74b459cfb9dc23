"""The one shape in which samples reach a training or evaluation step."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples of one step on one worker, on the training device, but for their `ids`."""

    images: Tensor
    """u8[B C H W] as packed; f32 after normalising."""
    targets: Tensor
    """i64[B] class indices, or u8[B H W] label maps."""
    ids: Tensor
    """i64[B] index of each sample in its split."""
    valid: Tensor
    """bool[B]; False marks padding, which is neither learnt from nor counted; batch normalisation sees it."""
