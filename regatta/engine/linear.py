"""Linear layers on processors that torch multiplies f32 matrices too slowly on.

torch multiplies them by MKL, which computes with half the width of an AMD processor's AVX-512: measured 92 to
98 GFLOP/s on one core, where oneDNN, which computes torch's convolutions, reaches 170 to 220.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

CPUINFO = Path("/proc/cpuinfo")
SMALLEST_WEIGHTS = 100_000
"""Below this, what Python adds to a layer is more than oneDNN saves."""


def quicken_linears(network: nn.Module) -> nn.Module:
    """Let the large linear layers of *network* be computed by oneDNN, where that is faster."""
    if mkl_takes_half_the_width():
        for module in network.modules():
            if type(module) is nn.Linear and module.weight.numel() >= SMALLEST_WEIGHTS:
                module.__class__ = OneDnnLinear
    return network


@cache
def mkl_takes_half_the_width() -> bool:
    """Whether this is an AMD processor with AVX-512, and torch has MKL to multiply by, and oneDNN besides."""
    return (
        torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and CPUINFO.exists()
        and "AuthenticAMD" in CPUINFO.read_text()
    )


class OneDnnLinear(nn.Linear):
    """nn.Linear, computed by oneDNN where it is f32 on the CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """f32[… I] → f32[… O]."""
        ours = input.dtype == self.weight.dtype == torch.float32 and input.device.type == "cpu"
        if not ours or input.dim() < 2 or not input.numel() or torch.is_autocast_enabled("cpu"):
            return functional.linear(input, self.weight, self.bias)
        output_NO = by_onednn(input.flatten(0, -2), self.weight, self.bias)
        return output_NO.unflatten(0, input.shape[:-1])


def by_onednn(input_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """f32[N O], as `torch.nn.functional.linear`."""
    return cast("Tensor", _Linear.apply(input_NI, weight_OI, bias_O))


class _Linear(Function):
    """Both gradients are linear layers again, so that this can be derived as often as one likes."""

    @staticmethod
    def forward(ctx: Any, input_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(input_NI, weight_OI)
        return _operator()(_matrix(input_NI), _matrix(weight_OI), bias_O, "none", [], "")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (grad_NO,), (input_NI, weight_OI) = grads, ctx.saved_tensors
        of_input, of_weight, of_bias = ctx.needs_input_grad
        return (
            by_onednn(grad_NO, weight_OI.t(), None) if of_input else None,
            by_onednn(grad_NO.t(), input_NI.t(), None) if of_weight else None,
            grad_NO.sum(0) if of_bias else None,
        )


def _matrix(values: Tensor) -> Tensor:
    """As oneDNN reads it: by rows or by columns, without gaps."""
    return values if values.is_contiguous() or values.t().is_contiguous() else values.contiguous()


def _operator() -> Any:
    """What torch's own compiler makes of a linear layer: (input, weight, bias, …) → output."""
    return torch.ops.mkldnn._linear_pointwise  # pyright: ignore[reportPrivateUsage]


def flop_formulas() -> dict[Any, Callable[..., int]]:
    """What torch's flop counter does not know of itself."""
    aten = torch.ops.aten
    formulas: dict[Any, Callable[..., int]] = {aten.addmm_: _added_flops, aten.baddbmm_: _added_flops}
    return formulas | ({_operator(): _flops} if mkl_takes_half_the_width() else {})


def _added_flops(
    _: object, one_shape: Sequence[int], other_shape: Sequence[int], *__: object, **___: object
) -> int:
    """Of products that are added to what is there (regatta/engine/weight_gradients.py)."""
    return 2 * prod(one_shape) * other_shape[-1]


def _flops(input_shape: Sequence[int], weight_shape: Sequence[int], *_: object, **__: object) -> int:
    return 2 * prod(input_shape) * weight_shape[0]  # The bias is not counted, as in torch's own.
