"""Gradients of convolutions' weights as products of matrices.

For each place (a, b) of the kernel that gradient is one product,

    gradient of weights[:, :, a, b] = sum over pixels of gradient[pixel, :] · input[pixel moved by (a, b), :],

and where images have borders of zeros and the kernel moves pixel by pixel, to move is an offset in memory:
nothing has to be gathered. (So do Vasudevan, Anderson and Gregg take the output apart: Parallel Multi Channel
Convolution using General Matrix Multiplication, arXiv 1704.04428.) Where borders would be a large share of
the images, or the kernel leaps, what it sees from each pixel is gathered, and all places are one product
(Chellapilla, Puri and Simard 2006, section 2: unrolling convolution).

Tensors lie channels last, here and in what is returned.
"""

import torch
from torch import Tensor
from torch.nn import functional

IMAGES_AT_ONCE, BYTES_AT_ONCE = 8, 2**23
"""More no longer lie in the processor's cache from one product to the next, which other processes share."""
Sides = tuple[int, int]
"""Of the height and of the width."""


def by_places(grad_NOHW: Tensor, input_NIhw: Tensor, padding: Sides) -> Tensor:
    """f32[O I a b]: gradient of the weights, one product for each place of the kernel.

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
        _add_places(sums_abnOI[:, :, : len(grads)], grads, inputs, padding)
    weights_OIab = sums_abnOI.sum(2).permute(2, 3, 0, 1)
    return weights_OIab.contiguous(memory_format=torch.channels_last)


def _images_at_once(image_bytes: int) -> int:
    """As many for each thread."""
    threads = torch.get_num_threads()
    return max(1, min(IMAGES_AT_ONCE, BYTES_AT_ONCE // image_bytes) // threads) * threads


def _add_places(sums_abnOI: Tensor, grad_nOHW: Tensor, input_nIhw: Tensor, padding: Sides) -> None:
    """Add to the sum of each place and image its product over the image's pixels."""
    input_nyxI = _bordered(input_nIhw, padding)
    columns = input_nyxI.shape[2]
    # As wide as the input, so that what is beside a pixel of one is beside that pixel of the other.
    grad_nHxO = functional.pad(grad_nOHW.permute(0, 2, 3, 1), (0, 0, 0, columns - grad_nOHW.shape[3]))
    pixels = grad_nHxO.shape[1] * columns - sums_abnOI.shape[1] + 1  # Those that follow are zeros.
    grad_nOp, input_nqI = grad_nHxO.flatten(1, 2)[:, :pixels].transpose(1, 2), input_nyxI.flatten(1, 2)
    for a, sums_bnOI in enumerate(sums_abnOI):
        for b, sums_nOI in enumerate(sums_bnOI):
            at = a * columns + b
            sums_nOI.baddbmm_(grad_nOp, input_nqI[:, at : at + pixels])


def by_patches(grad_NOHW: Tensor, input_NIhw: Tensor, kernel: Sides, padding: Sides, stride: Sides) -> Tensor:
    """f32[O I a b]: gradient of the weights, one product for all places of the kernel.

    Args:
        grad_NOHW: gradient of its output.
        input_NIhw: its input.
        kernel: its size.
        padding: zeros above and below, left and right.
        stride: pixels from one of its positions to the next.
    """
    outputs, channels = grad_NOHW.shape[1], input_NIhw.shape[1]
    patch_numbers = kernel[0] * kernel[1] * channels
    count = max(1, BYTES_AT_ONCE // (grad_NOHW[0, 0].nbytes * patch_numbers))
    sums_OP = grad_NOHW.new_zeros(outputs, patch_numbers)
    for grads, inputs in zip(grad_NOHW.split(count), input_NIhw.split(count), strict=True):
        grad_pO = grads.permute(0, 2, 3, 1).reshape(-1, outputs)
        patches_nHWabI = _patches(inputs, grads.shape[2:], kernel, padding, stride)
        sums_OP.addmm_(grad_pO.t(), patches_nHWabI.reshape(-1, patch_numbers))
    return sums_OP.view(outputs, *kernel, channels).permute(0, 3, 1, 2)


def _patches(
    input_nIhw: Tensor, positions: torch.Size, kernel: Sides, padding: Sides, stride: Sides
) -> Tensor:
    """f32[n H W a b I]: what the kernel sees from each of its positions; a view, each number many times."""
    input_nyxI = _bordered(input_nIhw, padding)
    images, rows, columns, channels = input_nyxI.stride()
    return input_nyxI.as_strided(
        (len(input_nyxI), *positions, *kernel, input_nyxI.shape[3]),
        (images, rows * stride[0], columns * stride[1], rows, columns, channels),
    )


def _bordered(input_nIhw: Tensor, padding: Sides) -> Tensor:
    """f32[n y x I]: the images in their borders of zeros, without gaps."""
    above, left = padding
    return functional.pad(input_nIhw.permute(0, 2, 3, 1), (0, 0, left, left, above, above)).contiguous()
