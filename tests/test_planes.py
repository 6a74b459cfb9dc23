"""Turning channels-last pictures into planes: the same numbers, and a gradient that lies as they lay."""

import pytest
import torch
from torch import Tensor

from regatta.problems.planes import in_planes, lies_channels_last

SHAPES = ((2, 7, 3, 5), (1, 3, 4, 4), (3, 21, 1, 9), (2, 2, 6, 1), (2, 5, 1, 1), (1, 1, 4, 6))


def pictures(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    return values.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_planes_hold_the_same_numbers_and_lie_one_after_the_other(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    values = pictures(shape, dtype)
    planes = in_planes(values)
    assert torch.equal(planes, values) and planes.is_contiguous()


def test_what_lies_in_planes_is_not_copied() -> None:
    values = torch.randn(2, 3, 4, 5)
    assert in_planes(values).data_ptr() == values.data_ptr()


def test_what_lies_neither_way_is_turned_too() -> None:
    values = pictures((2, 6, 4, 5))[:, 1:4, :, ::2]
    assert torch.equal(in_planes(values), values) and in_planes(values).is_contiguous()


def test_gradients_are_those_of_a_copy_and_lie_as_the_pictures() -> None:
    values = pictures((2, 7, 3, 5), torch.float64).requires_grad_()
    (found,) = torch.autograd.grad((in_planes(values) ** 3).sum(), values)
    assert torch.equal(found, 3 * values.detach() ** 2) and lies_channels_last(found)
    assert torch.autograd.gradgradcheck(in_planes, values)
