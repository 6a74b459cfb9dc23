"""What tests share: a tiny packed data set, and a copy of the project to work in."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import project
from regatta.manifest import write_manifest
from regatta.packed.schema import Packed, Schema, open_packed

ROOT = Path(__file__).parent.parent


# A shell that starts the tests in the background has them ignore Ctrl-C, and with them all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests are small: more threads than cores, in several processes at once, only wait for each other.
torch.set_num_threads(1)


SLOWEST = (
    *("test_chaos", "test_course", "test_services", "test_elastic", "test_lost_workers", "test_walk"),
    *("test_cluster", "test_concurrency", "test_orphans", "test_doctor", "test_flow_integration"),
)
"""Files that take minutes: begun first, so that none of them is left to one process at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first; the order within a file stays."""
    place = {name: at for at, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(SLOWEST)))


def copy_project(parent: Path) -> Path:
    """A copy of the project without git, data or results."""
    return project.copy_project(parent / "project", ROOT)


@pytest.fixture
def packed_pictures(tmp_path: Path) -> Callable[..., Packed]:
    """A function that packs learnable random pictures: classes differ in brightness."""
    return lambda **wanted: pack(tmp_path / "packed", **wanted)


def pack(folder: Path, *, problem: str, train: int = 40, val: int = 13, classes: int = 3) -> Packed:
    generator = np.random.default_rng(7)
    counts = {"train": train, "val": val, "test": 11}
    for split, samples in counts.items():
        (folder / split).mkdir(parents=True)
        shape = (samples,) if problem == "classification" else (samples, 12, 16)
        targets = generator.integers(0, classes, shape)
        light = (targets * (200 // classes)).reshape(samples, *shape[1:] or (1, 1), 1)
        images = np.broadcast_to(light, (samples, 12, 16, 3)) + generator.integers(
            0, 50, (samples, 12, 16, 3)
        )
        kind = np.int64 if problem == "classification" else np.uint8
        np.save(folder / split / "images.npy", images.astype(np.uint8))
        np.save(folder / split / "targets.npy", targets.astype(kind))
        (folder / split / "names.json").write_text(json.dumps([f"{split}-{i}" for i in range(samples)]))
    schema = Schema(
        dataset="pictures",
        problem=problem,  # pyright: ignore[reportArgumentType]
        classes=tuple(f"class-{k}" for k in range(classes)),
        ignore_label=None,
        channels=3,
        height_px=12,
        width_px=16,
        mean=(0.4, 0.4, 0.4),
        std=(0.3, 0.3, 0.3),
        counts=counts,
        class_counts=dict.fromkeys(counts, (10,) * classes),
    )
    (folder / "schema.json").write_text(schema.model_dump_json())
    write_manifest(folder)
    return open_packed(folder)
