"""Convolutions on processors that torch finds the gradients of their weights too slowly on.

With AVX2 and no AVX-512, oneDNN has quick kernels for tensors that lie channels last for the output of a
convolution and for the gradient of its input, and none for that of its weights: measured 190 GFLOP/s on two
cores for the former, 70 to 130 for the latter. There products of matrices are faster
(regatta/engine/weight_gradients.py).
"""

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from regatta.engine.weight_gradients import Sides, by_patches, by_places

FEWEST_CHANNELS, FEWEST_WEIGHTS = 16, 512
"""On either side, and for each place of the kernel: smaller matrices are not multiplied faster."""
FEWEST_CHANNELS_OF_PATCHES = 64
"""Of fewer, to gather what the kernel sees takes longer than it saves."""
FEWEST_PIXELS = 150
"""Of smaller images borders of zeros are too large a share."""


def quicken_convolutions(network: nn.Module) -> nn.Module:
    """Let large convolutions of *network* find their weights' gradients by products, where that is faster."""
    if onednn_lacks_a_kernel():
        for module in network.modules():
            if type(module) is nn.Conv2d and _is_plain(module) and _is_large(module):
                module.__class__ = Conv2dByProducts
    return network


@cache
def onednn_lacks_a_kernel() -> bool:
    """Whether this is a processor with AVX2 only, and torch has MKL for the products."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and torch.backends.mkl.is_available()


def _is_plain(layer: nn.Conv2d) -> bool:
    """A kernel larger than 1×1, without gaps, over all channels, in zeros."""
    return (
        layer.kernel_size != (1, 1)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def _is_large(layer: nn.Conv2d) -> bool:
    if layer.stride != (1, 1):
        return _fewest_channels(layer) >= FEWEST_CHANNELS_OF_PATCHES
    return (
        _fewest_channels(layer) >= FEWEST_CHANNELS
        and layer.in_channels * layer.out_channels >= FEWEST_WEIGHTS
    )


def _fewest_channels(layer: nn.Conv2d) -> int:
    return min(layer.in_channels, layer.out_channels)


class Conv2dByProducts(nn.Conv2d):
    """nn.Conv2d; in f32, channels last, on the CPU the gradient of its weights is found by products."""

    def forward(self, input: Tensor) -> Tensor:
        """f32[N I h w] → f32[N O H W]."""
        if not self._gains(input):
            return super().forward(input)
        output_NOHW = _Convolution.apply(input, self.weight, self.bias, self.padding, self.stride)
        return cast("Tensor", output_NOHW)

    def _gains(self, input: Tensor) -> bool:
        return (
            torch.is_grad_enabled()
            and self.weight.requires_grad
            and input.dtype == self.weight.dtype == torch.float32
            and input.device.type == "cpu"
            and input.dim() == 4
            and input.numel() > 0
            and (_fewest_channels(self) >= FEWEST_CHANNELS_OF_PATCHES or _has_room(input))
            and input.is_contiguous(memory_format=torch.channels_last)
            and not torch.is_autocast_enabled("cpu")
        )


def _has_room(input_NIhw: Tensor) -> bool:
    return input_NIhw.shape[2] * input_NIhw.shape[3] >= FEWEST_PIXELS


class _Convolution(Function):
    @staticmethod
    def forward(
        ctx: Any,
        input_NIhw: Tensor,
        weight_OIab: Tensor,
        bias_O: Tensor | None,
        padding: Sides,
        stride: Sides,
    ) -> Tensor:
        ctx.save_for_backward(input_NIhw, weight_OIab)
        ctx.padding, ctx.stride = padding, stride
        return functional.conv2d(input_NIhw, weight_OIab, bias_O, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad_NOHW,), (input_NIhw, weight_OIab) = grads, ctx.saved_tensors
        of_input, of_weight, of_bias, *_ = ctx.needs_input_grad
        moves = ctx.stride, ctx.padding
        return (
            conv2d_input(input_NIhw.shape, weight_OIab, grad_NOHW, *moves) if of_input else None,
            _weight_gradient(grad_NOHW, input_NIhw, weight_OIab, *moves) if of_weight else None,
            grad_NOHW.sum((0, 2, 3)) if of_bias else None,
            None,
            None,
        )


def _weight_gradient(
    grad_NOHW: Tensor, input_NIhw: Tensor, weight_OIab: Tensor, stride: Sides, padding: Sides
) -> Tensor:
    if torch.is_grad_enabled():  # It is to be derived again, which sums that are added to in place cannot be.
        # Their annotations know one number for both sides only.
        return conv2d_weight(input_NIhw, weight_OIab.shape, grad_NOHW, stride, padding)  # pyright: ignore[reportArgumentType]
    if stride == (1, 1) and _has_room(input_NIhw):
        return by_places(grad_NOHW, input_NIhw, padding)
    kernel = (weight_OIab.shape[2], weight_OIab.shape[3])
    return by_patches(grad_NOHW, input_NIhw, kernel, padding, stride)
