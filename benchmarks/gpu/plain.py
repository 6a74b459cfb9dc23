"""A plain speed-run: `python -m benchmarks.gpu.plain PROJECT` prints the accuracy on the test split.

As D. Page's "How to train your ResNet" (2018) has it: the whole data set lies on the device, batches are
cropped and flipped there as a whole, and nothing is kept, logged or resumed. Net, data, batch size,
optimiser, rates, epochs and precision are those of the run `speed`.
"""

import argparse
import contextlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from regatta.engine.optimisation import optimiser_of, rate
from regatta.packed.schema import open_packed
from regatta.settings.course import read_course
from regatta.settings.recipe import Recipe
from tasks.resolving import resolve
from tasks.train import input_of


def main() -> None:
    """Train the net in one process, one script."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.plain", description="A plain speed-run")
    parser.add_argument("project", type=Path)
    parser.add_argument("--device", default="cuda")
    wanted = parser.parse_args()
    with contextlib.chdir(wanted.project):
        print(f"accuracy {speed_run(torch.device(wanted.device)):.4f}")


def speed_run(device: torch.device) -> float:
    """Accuracy on the test split of the run `speed` of the params.yaml here."""
    resolved = resolve(read_course(), "speed")
    recipe, folder = resolved.recipe, Path("data/packed") / resolved.run.dataset
    schema = open_packed(folder).schema
    torch.manual_seed(recipe.seed)
    network = resolved.family.build(input_of(schema), resolved.options).to(device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train, test = (_loaded(folder / split, schema.mean, schema.std, device) for split in ("train", "test"))
    learn(network, *train, recipe)
    return accuracy(network, *test, recipe.batch_size)


def _loaded(
    folder: Path, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """A split on the device: normalised images f32[N C H W], classes i64[N]."""
    images_NHWC, classes_N = (
        torch.from_numpy(np.lib.format.open_memmap(folder / f"{name}.npy", mode="c")).to(device)
        for name in ("images", "targets")
    )
    mean_C, std_C = (torch.tensor(values, device=device) for values in (mean, std))
    return ((images_NHWC / 255 - mean_C) / std_C).permute(0, 3, 1, 2), classes_N


def learn(network: nn.Module, images_NCHW: Tensor, classes_N: Tensor, recipe: Recipe) -> None:
    """All epochs of *recipe*."""
    steps = -(-len(images_NCHW) // recipe.batch_size)
    optimiser = optimiser_of(network, recipe)
    rates = LambdaLR(optimiser, lambda step: rate(recipe, step, steps) / recipe.lr)
    height, width = images_NCHW.shape[-2:]
    shift = recipe.augment.shift_px
    padded_NCHW = F.pad(images_NCHW, (shift, shift, shift, shift))
    for _ in range(recipe.epochs):
        for ids_B in torch.randperm(len(images_NCHW), device=images_NCHW.device).split(recipe.batch_size):
            batch_BCHW = augmented(padded_NCHW[ids_B], height, width)
            with torch.autocast(images_NCHW.device.type, torch.bfloat16):
                logits_BK = network(batch_BCHW)
            loss = F.cross_entropy(
                logits_BK.float(), classes_N[ids_B], label_smoothing=recipe.label_smoothing
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()


def augmented(padded_BCHW: Tensor, height: int, width: int) -> Tensor:
    """A random window of each image, half of them mirrored."""
    batch, device = len(padded_BCHW), padded_BCHW.device

    def places(size: int, padded: int) -> Tensor:
        first_B1 = torch.randint(padded - size + 1, (batch, 1), device=device)
        return first_B1 + torch.arange(size, device=device)

    rows_BH = places(height, padded_BCHW.shape[-2])
    cols_BW = places(width, padded_BCHW.shape[-1])
    cols_BW = torch.where(torch.rand(batch, 1, device=device) < 0.5, cols_BW, cols_BW.flip(1))
    picked_BHWC = padded_BCHW.permute(0, 2, 3, 1)[
        torch.arange(batch, device=device)[:, None, None], rows_BH[:, :, None], cols_BW[:, None, :]
    ]
    return picked_BHWC.permute(0, 3, 1, 2)


@torch.inference_mode()
def accuracy(network: nn.Module, images_NCHW: Tensor, classes_N: Tensor, batch_size: int) -> float:
    """Share of the images whose class is the network's first guess."""
    network.eval()
    with torch.autocast(images_NCHW.device.type, torch.bfloat16):
        guesses_N = torch.cat([network(batch_BCHW).argmax(1) for batch_BCHW in images_NCHW.split(batch_size)])
    return (guesses_N == classes_N).float().mean().item()


if __name__ == "__main__":
    main()
