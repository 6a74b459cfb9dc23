"""The data set of the trials: three kinds of noise in one archive, the same bytes each time."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

ARCHIVE = "flecks.tar"
SIDE_PX = 24
SAMPLES = {"train": 480, "val": 60, "test": 60}
CLASSES = ("blue", "green", "red")

CARD = """\
title: Flecks
problem: classification
format: image-folder
licence: none
citation: none
files:
  - {{name: {name}, sha256: {sha256}, size_bytes: {size_bytes}}}
classes: [blue, green, red]
image: {{height_px: {side_px}, width_px: {side_px}}}
splits:
  train: {{folder: train}}
  val: {{folder: val}}
  test: {{folder: test}}
"""


def paint(folder: Path) -> str:
    """Write the archive into *folder*; the card that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(5)
    with tarfile.open(folder / ARCHIVE, "w") as archive:
        for split, samples in SAMPLES.items():
            for index in range(samples):
                kind = index % len(CLASSES)
                png = _png(generator, kind)
                member = tarfile.TarInfo(f"{split}/{CLASSES[kind]}/{index}.png")
                member.size = len(png)
                archive.addfile(member, io.BytesIO(png))
    content = (folder / ARCHIVE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return CARD.format(name=ARCHIVE, sha256=digest, size_bytes=len(content), side_px=SIDE_PX)


def _png(generator: np.random.Generator, kind: int) -> bytes:
    pixels = generator.integers(0, 200, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    pixels[..., 2 - kind] += generator.integers(0, 55, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()
