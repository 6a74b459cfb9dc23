"""Upsampling by transposed convolutions that start as bilinear interpolation."""

import torch
from torch import Tensor, nn


def bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """f32[B c h w] to f32[B c h*factor w*factor], learnt from a bilinear start (Long et al. 2015, 3.3).

    Kernel 2*factor with padding factor/2 keeps pixel centres aligned: *factor* is even. Each channel starts
    out on its own; the weights between channels start at zero.
    """
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = _tent(factor)
    return layer


def _tent(factor: int) -> Tensor:
    """The bilinear kernel f32[2*factor 2*factor]: an outer product of two triangles."""
    distances = (torch.arange(2 * factor) - (factor - 0.5)).abs()
    triangle = 1 - distances / factor
    return torch.outer(triangle, triangle)


def cropped_like(maps_BKhw: Tensor, reference_BCHW: Tensor) -> Tensor:
    """*maps* without the rows and columns below and right of *reference*'s last.

    Poolings that round up let the last cell reach over the edge; what lies there belongs to no pixel.
    """
    return maps_BKhw[..., : reference_BCHW.shape[-2], : reference_BCHW.shape[-1]]
