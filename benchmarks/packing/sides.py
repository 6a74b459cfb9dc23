"""The sides, each in a process of its own: `python -m benchmarks.packing.sides SIDE SET RAW FILES OUT`.

FILES is JSON: per split, [image, mask or null, label or null] of every sample; OUT is where arrays go.
The last line printed is how many seconds it took, without the imports.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.packing.cards import CARDS
from regatta.formats.plain_pictures import plain_pixels
from regatta.settings.card import Card

Files = Mapping[str, list[tuple[str, str | None, int | None]]]
PORTION = 16


def packed(card: Card, raw: Path, files: Files, out: Path) -> float:
    """This project: what `python -m tasks.preprocess` does, from listing the folders to the manifest."""
    from tasks.preprocess import preprocess

    began_s = time.perf_counter()
    preprocess(card, raw, out)
    return time.perf_counter() - began_s


def looped(card: Card, raw: Path, files: Files, out: Path) -> float:
    """The same arrays by Pillow in a loop, as a Dataset reads its pictures in PyTorch's tutorial
    "Writing Custom Datasets, DataLoaders and Transforms": open, convert, resize, asarray; then one save."""
    began_s = time.perf_counter()
    for split, samples in files.items():
        (out / split).mkdir(parents=True)
        size = (card.image.width_px, card.image.height_px)
        images = [
            np.asarray(_resized(Image.open(raw / name).convert("RGB"), size, 2)) for name, _, _ in samples
        ]
        np.save(out / split / "images.npy", np.stack(images))
        masks = [np.asarray(_resized(Image.open(raw / mask), size, 0)) for _, mask, _ in samples if mask]
        labels = np.array([label for _, _, label in samples if label is not None], np.int64)
        np.save(out / split / "targets.npy", np.stack(masks) if masks else labels)
    return time.perf_counter() - began_s


def _resized(image: Image.Image, size: tuple[int, int], resampling: int) -> Image.Image:
    return image if image.size == size else image.resize(size, resampling)


def decoded_by_pillow(card: Card, raw: Path, files: Files, out: Path) -> float:
    """Decoding alone, by Pillow in as many processes as cores."""
    return _in_processes(_load_by_pillow, raw, files)


def decoded_by_torchvision(card: Card, raw: Path, files: Files, out: Path) -> float:
    """Decoding alone, by torchvision.io in as many processes as cores."""
    return _in_processes(_load_by_torchvision, raw, files)


def decoded_as_here(card: Card, raw: Path, files: Files, out: Path) -> float:
    """Decoding alone, by what this project decodes with, in as many processes as cores."""
    return _in_processes(_load_as_here, raw, files)


def decoded_in_threads(card: Card, raw: Path, files: Files, out: Path) -> float:
    """Decoding alone, by torchvision.io in as many threads as cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return _timed(pool.map, _load_by_torchvision, _portions(raw, files))


def _in_processes(load: Callable[[list[str]], None], raw: Path, files: Files) -> float:
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return _timed(pool.map, load, _portions(raw, files))


def _timed(
    mapped: Callable[[Callable[[list[str]], None], Iterable[list[str]]], Iterable[None]],
    load: Callable[[list[str]], None],
    portions: list[list[str]],
) -> float:
    """Seconds of all *portions*, once every worker has had its imports."""
    list(mapped(load, [portions[0]] * 8 * (os.cpu_count() or 1)))
    began_s = time.perf_counter()
    list(mapped(load, portions))
    return time.perf_counter() - began_s


def _portions(raw: Path, files: Files) -> list[list[str]]:
    names = [name for samples in files.values() for pair in samples for name in pair[:2] if name]
    paths = [str(raw / name) for name in names]
    return [paths[begin : begin + PORTION] for begin in range(0, len(paths), PORTION)]


def _load_by_pillow(paths: list[str]) -> None:
    for path in paths:
        with Image.open(path) as picture:
            picture.load()


def _load_by_torchvision(paths: list[str]) -> None:
    import torch
    from torchvision.io import decode_image, read_file

    torch.set_num_threads(1)
    for path in paths:
        decode_image(read_file(path))


def _load_as_here(paths: list[str]) -> None:
    for path in paths:
        channels = 1 if "annot/" in path else 3
        assert plain_pixels(Path(path).read_bytes(), channels) is not None, f"{path} is not plain"


OURS, LOOP = "regatta", "Pillow loop"
SIDES = {
    OURS: packed,
    LOOP: looped,
    "decoding, Pillow, processes": decoded_by_pillow,
    "decoding, torchvision, processes": decoded_by_torchvision,
    "decoding, torchvision, threads": decoded_in_threads,
    "decoding, as here, processes": decoded_as_here,
}
DECODERS = tuple(side for side in SIDES if side.startswith("decoding"))


def main() -> None:
    """Command line."""
    side, name, raw, files, out = sys.argv[1:]
    seconds = SIDES[side](CARDS[name], Path(raw), json.loads(Path(files).read_text()), Path(out))
    print(seconds, flush=True)


if __name__ == "__main__":
    main()
