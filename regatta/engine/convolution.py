"""Convolutions on processors that torch finds the gradients of their weights too slowly on.

With AVX2 and no AVX-512, oneDNN has quick kernels for tensors that lie channels last for the output of a
convolution and for the gradient of its input, and none for that of its weights: measured 190 GFLOP/s on two
cores for the former, 70 to 130 for the latter. But for each place (a, b) of the kernel that gradient is one
product of matrices,

    gradient of weights[:, :, a, b] = sum over pixels of gradient[pixel, :] · input[pixel moved by (a, b), :],

and where images have borders of zeros, to move is an offset in memory: nothing has to be gathered. (So do
Vasudevan, Anderson and Gregg take the output apart: Parallel Multi Channel Convolution using General Matrix
Multiplication, arXiv 1704.04428.)
"""

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

FEWEST_CHANNELS, FEWEST_WEIGHTS = 16, 512
"""On either side, and for each place of the kernel: smaller matrices are not multiplied faster."""
FEWEST_PIXELS = 150
"""Of smaller images the borders are too large a share."""
IMAGES_AT_ONCE, BYTES_AT_ONCE = 8, 2**24
"""More no longer lie in the processor's cache from one product to the next."""


def quicken_convolutions(network: nn.Module) -> nn.Module:
    """Let large convolutions of *network* find their weights' gradients by products, where that is faster."""
    if onednn_lacks_a_kernel():
        for module in network.modules():
            if type(module) is nn.Conv2d and _is_plain(module):
                module.__class__ = Conv2dByProducts
    return network


@cache
def onednn_lacks_a_kernel() -> bool:
    """Whether this is a processor with AVX2 only, and torch has MKL for the products."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and torch.backends.mkl.is_available()


def _is_plain(layer: nn.Conv2d) -> bool:
    """A kernel larger than 1×1 that moves pixel by pixel over all channels, in zeros."""
    return (
        layer.kernel_size != (1, 1)
        and layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and min(layer.in_channels, layer.out_channels) >= FEWEST_CHANNELS
        and layer.in_channels * layer.out_channels >= FEWEST_WEIGHTS
    )


class Conv2dByProducts(nn.Conv2d):
    """nn.Conv2d; in f32, channels last, on the CPU the gradient of its weights is found by products."""

    def forward(self, input: Tensor) -> Tensor:
        """f32[N I h w] → f32[N O H W]."""
        if not self._gains(input):
            return super().forward(input)
        return cast("Tensor", _Convolution.apply(input, self.weight, self.bias, self.padding))

    def _gains(self, input: Tensor) -> bool:
        return (
            torch.is_grad_enabled()
            and self.weight.requires_grad
            and input.dtype == self.weight.dtype == torch.float32
            and input.device.type == "cpu"
            and input.dim() == 4
            and input.shape[2] * input.shape[3] >= FEWEST_PIXELS
            and input.is_contiguous(memory_format=torch.channels_last)
            and not torch.is_autocast_enabled("cpu")
        )


class _Convolution(Function):
    @staticmethod
    def forward(
        ctx: Any, input_NIhw: Tensor, weight_OIab: Tensor, bias_O: Tensor | None, padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(input_NIhw, weight_OIab)
        ctx.padding = padding
        return functional.conv2d(input_NIhw, weight_OIab, bias_O, padding=padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (grad_NOHW,), (input_NIhw, weight_OIab) = grads, ctx.saved_tensors
        of_input, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            conv2d_input(input_NIhw.shape, weight_OIab, grad_NOHW, padding=ctx.padding) if of_input else None,
            _weight_gradient(grad_NOHW, input_NIhw, weight_OIab, ctx.padding) if of_weight else None,
            grad_NOHW.sum((0, 2, 3)) if of_bias else None,
            None,
        )


def _weight_gradient(
    grad_NOHW: Tensor, input_NIhw: Tensor, weight_OIab: Tensor, padding: tuple[int, int]
) -> Tensor:
    if torch.is_grad_enabled():  # It is to be derived again, which sums that are added to in place cannot be.
        # Its annotation knows one number for both sides only.
        return conv2d_weight(input_NIhw, weight_OIab.shape, grad_NOHW, padding=padding)  # pyright: ignore[reportArgumentType]
    return by_products(grad_NOHW, input_NIhw, padding)


def by_products(grad_NOHW: Tensor, input_NIhw: Tensor, padding: tuple[int, int]) -> Tensor:
    """f32[O I a b], channels last: gradient of a convolution's weights.

    Args:
        grad_NOHW: gradient of its output.
        input_NIhw: its input, which it moved over pixel by pixel.
        padding: zeros above and below, left and right.
    """
    count = min(len(grad_NOHW), _images_at_once(grad_NOHW[0].nbytes + input_NIhw[0].nbytes))
    high = input_NIhw.shape[2] + 2 * padding[0] - grad_NOHW.shape[2] + 1
    wide = input_NIhw.shape[3] + 2 * padding[1] - grad_NOHW.shape[3] + 1
    sums_abnOI = grad_NOHW.new_zeros(high, wide, count, grad_NOHW.shape[1], input_NIhw.shape[1])
    for grads, inputs in zip(grad_NOHW.split(count), input_NIhw.split(count), strict=True):
        _add_products(sums_abnOI[:, :, : len(grads)], grads, inputs, padding)
    weights_OIab = sums_abnOI.sum(2).permute(2, 3, 0, 1)
    return weights_OIab.contiguous(memory_format=torch.channels_last)


def _images_at_once(image_bytes: int) -> int:
    """As many for each thread."""
    threads = torch.get_num_threads()
    return max(1, min(IMAGES_AT_ONCE, BYTES_AT_ONCE // image_bytes) // threads) * threads


def _add_products(
    sums_abnOI: Tensor, grad_nOHW: Tensor, input_nIhw: Tensor, padding: tuple[int, int]
) -> None:
    """Add to the sum of each place and image its product over the image's pixels."""
    above, left = padding
    input_nyxI = functional.pad(input_nIhw.permute(0, 2, 3, 1), (0, 0, left, left, above, above))
    columns = input_nyxI.shape[2]
    # As wide as the input, so that what is beside a pixel of one is beside that pixel of the other.
    grad_nHxO = functional.pad(grad_nOHW.permute(0, 2, 3, 1), (0, 0, 0, columns - grad_nOHW.shape[3]))
    pixels = grad_nHxO.shape[1] * columns - sums_abnOI.shape[1] + 1  # Those that follow are zeros.
    grad_nOp, input_nqI = grad_nHxO.flatten(1, 2)[:, :pixels].transpose(1, 2), input_nyxI.flatten(1, 2)
    for a, sums_bnOI in enumerate(sums_abnOI):
        for b, sums_nOI in enumerate(sums_bnOI):
            at = a * columns + b
            sums_nOI.baddbmm_(grad_nOp, input_nqI[:, at : at + pixels])
