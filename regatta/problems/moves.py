"""Augmentation of whole batches on their device: flip, shift, zoom and colour, drawn per sample.

Flip, shift and zoom keep the axes, so a sample's move is two vectors of source coordinates,
one for rows and one for columns, and masks follow their images by the same vectors.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regatta.problems.batch import Batch
from regatta.settings.recipe import Augment

DRAWS = 6
"""Uniform numbers that one sample's changes take."""


@dataclass(frozen=True)
class Moves:
    """Where each output row and column is read from, in input pixels; may lie outside."""

    rows: Tensor
    """f32[B H]"""
    cols: Tensor
    """f32[B W]"""


def moved(batch: Batch, augment: Augment, uniform_BD: Tensor, ignore_label: int) -> Batch:
    """*batch* (u8 images) with flip, shift and zoom applied; f32 images when zoomed, else u8.

    uniform_BD: f32[B DRAWS] in [0, 1). What comes from outside is black, or *ignore_label* in masks.
    """
    if not (augment.flip or augment.shift_px or augment.scale):
        return batch
    moves = draw_moves(augment, uniform_BD, batch.images.shape[-2], batch.images.shape[-1])
    read = _bilinear if augment.scale else _nearest
    targets = batch.targets
    if targets.dim() == 3:  # u8[B H W] label maps
        targets = _nearest(targets[:, None], moves, ignore_label)[:, 0]
    return replace(batch, images=read(batch.images, moves, 0), targets=targets)


def draw_moves(augment: Augment, uniform_BD: Tensor, height: int, width: int) -> Moves:
    """The samples' moves that the uniform numbers f32[B DRAWS] stand for."""
    flip_B1, rise_B1, run_B1, zoom_B1 = (uniform_BD[:, i : i + 1] for i in range(4))
    reach = augment.shift_px
    zoom_B1 = torch.exp((2 * zoom_B1 - 1) * -math.log1p(-augment.scale))  # of the object: > 1 is larger
    rows_BH = _coordinates(height, zoom_B1) + torch.floor(rise_B1 * (2 * reach + 1)) - reach
    cols_BW = _coordinates(width, zoom_B1) + torch.floor(run_B1 * (2 * reach + 1)) - reach
    if augment.flip:
        cols_BW = torch.where(flip_B1 < 0.5, width - 1 - cols_BW, cols_BW)
    return Moves(rows_BH, cols_BW)


def recoloured(images_BCHW: Tensor, augment: Augment, uniform_BD: Tensor) -> Tensor:
    """f32 images in [0, 255] with brightness and contrast changed by up to `augment.colour`."""
    if not augment.colour:
        return images_BCHW
    light_B, contrast_B = ((2 * uniform_BD[:, 4:6] - 1) * augment.colour).unbind(1)
    grey = 127.5
    scale_B111 = (1 + contrast_B).view(-1, 1, 1, 1)
    return ((images_BCHW - grey) * scale_B111 + grey * (1 + light_B).view(-1, 1, 1, 1)).clamp_(0, 255)


def _coordinates(size: int, zoom_B1: Tensor) -> Tensor:
    centre = (size - 1) / 2
    at_S = torch.arange(size, dtype=torch.float32, device=zoom_B1.device) - centre
    return at_S / zoom_B1 + centre


def _nearest(values_BCHW: Tensor, moves: Moves, outside: int) -> Tensor:
    return _gathered(values_BCHW, moves.rows.round().long(), moves.cols.round().long(), outside)


def _bilinear(values_BCHW: Tensor, moves: Moves, outside: int) -> Tensor:
    values_BCHW = values_BCHW.float()
    top_BH, left_BW = moves.rows.floor().long(), moves.cols.floor().long()
    down_B1H1 = (moves.rows - top_BH)[:, None, :, None]
    right_B11W = (moves.cols - left_BW)[:, None, None, :]

    def row(rows_BH: Tensor) -> Tensor:
        left = _gathered(values_BCHW, rows_BH, left_BW, outside)
        return left.lerp(_gathered(values_BCHW, rows_BH, left_BW + 1, outside), right_B11W)

    return row(top_BH).lerp(row(top_BH + 1), down_B1H1)


def _gathered(values_BCHW: Tensor, rows_BH: Tensor, cols_BW: Tensor, outside: int) -> Tensor:
    """values[b, :, rows[b], cols[b]], with *outside* where a coordinate is not on the image."""
    batch, _, height, width = values_BCHW.shape
    values_BHWC = values_BCHW.permute(0, 2, 3, 1)
    picked_BHWC = values_BHWC[
        torch.arange(batch, device=rows_BH.device)[:, None, None],
        rows_BH.clamp(0, height - 1)[:, :, None],
        cols_BW.clamp(0, width - 1)[:, None, :],
    ]
    on_BH = (rows_BH >= 0) & (rows_BH < height)
    on_BW = (cols_BW >= 0) & (cols_BW < width)
    on_BHW1 = (on_BH[:, :, None] & on_BW[:, None, :])[..., None]
    return picked_BHWC.masked_fill_(~on_BHW1, outside).permute(0, 3, 1, 2)
