"""Augmentation: masks move with their images, and nothing else happens."""

import pytest
import torch
from torch.nn import functional

from regatta.problems.batch import Batch
from regatta.problems.moves import DRAWS, draw_moves, moved, recoloured
from regatta.settings.recipe import Augment

IGNORE = 255


def batch_of(samples: int = 6, height: int = 10, width: int = 14) -> Batch:
    """Images whose only channel is their mask, so that both must stay equal."""
    masks = torch.randint(1, 9, (samples, height, width), generator=torch.Generator().manual_seed(1)).byte()
    return Batch(masks[:, None], masks, torch.arange(samples), torch.ones(samples, dtype=torch.bool))


def draws(samples: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.rand(samples, DRAWS, generator=torch.Generator().manual_seed(seed))


def test_nothing_asked_nothing_changed() -> None:
    batch = batch_of()
    assert moved(batch, Augment(), draws(), IGNORE) is batch


def test_flip_mirrors_half_of_the_samples() -> None:
    batch, uniform = batch_of(), draws()
    flipped = moved(batch, Augment(flip=True), uniform, IGNORE)
    for i in range(6):
        expected = batch.images[i].flip(-1) if uniform[i, 0] < 0.5 else batch.images[i]
        assert torch.equal(flipped.images[i], expected)


@pytest.mark.parametrize("augment", [Augment(shift_px=3), Augment(flip=True, shift_px=4)])
def test_masks_move_with_their_images(augment: Augment) -> None:
    after = moved(batch_of(), augment, draws(), IGNORE)
    inside = after.targets != IGNORE
    assert torch.equal(after.images[:, 0][inside], after.targets[inside])
    assert (after.images[:, 0][~inside] == 0).all()


def test_shift_is_padding_and_cropping() -> None:
    batch, uniform = batch_of(samples=1), torch.full((1, DRAWS), 0.999)
    after = moved(batch, Augment(shift_px=2), uniform, IGNORE)
    padded = functional.pad(batch.images, (2, 2, 2, 2))
    assert torch.equal(after.images, padded[..., 4:14, 4:18])


def test_zoom_keeps_the_centre_and_masks_follow() -> None:
    grid = torch.arange(101.0)
    image = (grid[None, :] + grid[:, None])[None, None]  # a ramp: zooming it is exact by bilinear reading
    batch = Batch(image, image[:, 0].byte(), torch.zeros(1), torch.ones(1, dtype=torch.bool))
    uniform = torch.full((1, DRAWS), 0.5)
    uniform[0, 3] = 1.0  # the largest zoom
    after = moved(batch, Augment(scale=0.5), uniform, IGNORE)
    assert after.images[0, 0, 50, 50] == pytest.approx(100)
    assert after.images[0, 0, 50, 60] == pytest.approx(105)  # ten pixels out are five pixels of the source
    assert after.targets[0, 50, 60] in (105, 106)


def test_zoom_draws_stay_in_their_range() -> None:
    uniform = draws(2000)
    rows = draw_moves(Augment(scale=0.25), uniform, 11, 11).rows
    zoom = 10 / (rows[:, -1] - rows[:, 0])
    assert zoom.min() >= 0.75 - 1e-4
    assert zoom.max() <= 1 / 0.75 + 1e-4


def test_colour_changes_light_and_contrast_within_bounds() -> None:
    grey = torch.full((500, 1, 2, 2), 127.5)
    after = recoloured(grey, Augment(colour=0.2), draws(500))
    assert after.min() >= 127.5 * 0.8 - 1e-3
    assert after.max() <= 127.5 * 1.2 + 1e-3
    assert after.std() > 5
