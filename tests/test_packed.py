"""Packing: the bytes training reads, the statistics of them, and the same bytes again."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from regatta.errors import RegattaError
from regatta.manifest import verify
from regatta.names import Names
from regatta.packed.fit import fit_image, fit_mask
from regatta.packed.npy import GrowingArray
from regatta.packed.report import duplicates
from regatta.packed.schema import open_packed
from regatta.packed.statistics import DIGEST_BYTES, Statistics, merged
from regatta.packed.writer import pack_splits
from regatta.settings.card import Card
from regatta.settings.reading import parse
from regatta.whole import whole_folder
from tasks.preprocess import preprocess

RNG = np.random.default_rng(0)


def make_card(
    height_px: int, width_px: int, channels: int = 3, resize: str = "letterbox", **more: Any
) -> Card:
    image = {"height_px": height_px, "width_px": width_px, "channels": channels, "resize": resize}
    content = {
        "name": "d",
        "title": "t",
        "problem": "classification",
        "format": "image-folder",
        "licence": "l",
        "citation": "c",
        "classes": ["a", "b"],
        "image": image,
        "path": "own",
        "splits": {split: {"folder": split} for split in ("train", "val", "test")},
    }
    return parse(Card, content | more, "card")


def mask_card(
    height_px: int, width_px: int, resize: str = "letterbox", ignore_label: int | None = 255
) -> Card:
    splits = {split: {"images": "i", "masks": "m"} for split in ("train", "val", "test")}
    more = {
        "problem": "segmentation",
        "format": "mask-folder",
        "splits": splits,
        "ignore_label": ignore_label,
    }
    return make_card(height_px, width_px, resize=resize, **more)


@dataclass(frozen=True)
class Made:
    """Samples that are already in memory."""

    @dataclass(frozen=True)
    class Pixels:
        image: NDArray[np.uint8]
        mask: NDArray[np.uint8] | None = None

    images: Sequence[NDArray[np.uint8]]
    labels: NDArray[np.int64] | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"n{number}" for number in range(len(self.images)))

    def read(self, at: int, /) -> "Made.Pixels":
        mask = None if self.labels is not None else self.images[at][..., 0] % 2
        return self.Pixels(self.images[at], mask)


def pack(made: Made, card: Card, folder: Path) -> Any:
    ((_, found),) = pack_splits(
        {folder.name: made}, card, folder.parent, lambda split, count: lambda done: None
    )
    return found


def test_images_of_the_cards_size_are_kept_bit_for_bit(tmp_path: Path) -> None:
    images, labels = RNG.integers(0, 256, (150, 7, 5, 3), np.uint8), RNG.integers(0, 2, 150)
    found = pack(Made(list(images), labels), make_card(7, 5), tmp_path / "train")
    assert np.array_equal(np.load(tmp_path / "train/images.npy", allow_pickle=False), images)
    targets = np.load(tmp_path / "train/targets.npy", allow_pickle=False)
    assert targets.dtype == np.int64 and np.array_equal(targets, labels)
    assert found.class_counts == tuple(np.bincount(labels))
    assert np.allclose(found.mean(), images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    assert np.allclose(found.std(), images.std(axis=(0, 1, 2)) / 255, rtol=1e-9)


def test_splits_are_packed_side_by_side_and_told_of_in_turn(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (400, 4, 4, 1), np.uint8)
    cuts = {"train": slice(0, 270), "val": slice(270, 270), "test": slice(270, 271), "more": slice(271, 400)}
    made = {name: Made(list(images[cut]), np.arange(400)[cut] % 2) for name, cut in cuts.items()}
    told: dict[str, list[int]] = {}

    def telling(split: str, count: int) -> Callable[[int], None]:
        assert not told or sum(list(told.values())[-1]) == len(list(made.values())[len(told) - 1].images)
        assert count == len(made[split].images)
        return told.setdefault(split, []).append

    found = dict(pack_splits(made, make_card(4, 4, channels=1), tmp_path, telling))
    assert list(found) == list(told) == list(cuts)
    for name, cut in cuts.items():
        assert np.array_equal(np.load(tmp_path / name / "images.npy", allow_pickle=False), images[cut])
        assert json.loads((tmp_path / name / "names.json").read_text()) == list(made[name].names)
        assert list(found[name].names) == list(made[name].names)


def test_masks_are_kept_and_counted(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (70, 6, 6, 3), np.uint8)
    found = pack(Made(list(images), None), mask_card(6, 6), tmp_path / "train")
    targets = np.load(tmp_path / "train/targets.npy", allow_pickle=False)
    assert targets.dtype == np.uint8 and np.array_equal(targets, images[..., 0] % 2)
    assert found.class_counts == tuple(np.bincount(targets.ravel()))


def test_a_channel_that_never_varies_has_deviation_one(tmp_path: Path) -> None:
    found = pack(
        Made([np.full((2, 2, 1), 7, np.uint8)] * 3, np.zeros(3, np.int64)), make_card(2, 2, 1), tmp_path / "t"
    )
    assert found.std() == (1.0,) and found.mean() == (7 / 255,)


def test_number_of_threads_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [RNG.integers(0, 256, (9, 5 + number % 7, 3), np.uint8) for number in range(300)]
    made, packed = Made(images, RNG.integers(0, 2, 300)), []
    for threads in (1, 7):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        found = pack(made, make_card(8, 8), tmp_path / str(threads))
        packed.append((found, [path.read_bytes() for path in sorted((tmp_path / str(threads)).iterdir())]))
    assert packed[0] == packed[1]


def test_letterbox_keeps_proportions_and_pads_with_the_ignore_label() -> None:
    image, mask = np.full((10, 20, 3), 200, np.uint8), np.ones((10, 20), np.uint8)
    fitted, labels = fit_image(image, mask_card(8, 8)), fit_mask(mask, mask_card(8, 8))
    assert (fitted[2:6] == 200).all() and (labels[2:6] == 1).all()
    assert not fitted[[0, 1, 6, 7]].any() and (labels[[0, 1, 6, 7]] == 255).all()


def test_stretch_fills_the_size() -> None:
    mask = np.kron(np.array([[0, 1], [2, 1]], np.uint8), np.ones((5, 10), np.uint8))
    fitted = fit_mask(mask, mask_card(8, 4, "stretch", None))
    assert np.array_equal(fitted, np.kron(np.array([[0, 1], [2, 1]]), np.ones((4, 2))))


def test_resized_masks_hold_no_new_label() -> None:
    mask = RNG.choice(np.array([0, 1, 255], np.uint8), (37, 53))
    for size in ((16, 16), (90, 120)):
        assert set(np.unique(fit_mask(mask, mask_card(*size)))) == {0, 1, 255}


def test_image_and_mask_move_together() -> None:
    """A white square on black is labelled where it is white, also after resizing."""
    image, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    image[10:30, 20:50], mask[10:30, 20:50] = 255, 1
    card = mask_card(24, 24)
    white, labelled = fit_image(image, card)[..., 0] > 127, fit_mask(mask, card) == 1
    assert (white != labelled).mean() < 0.02


def test_shrinking_averages() -> None:
    checks = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((1, 1)))[..., None].repeat(3, axis=2) * 255
    fitted = fit_image(checks.astype(np.uint8), make_card(2, 2))
    assert np.abs(fitted.astype(int) - 127).max() < 16


def test_the_smallest_image_survives(tmp_path: Path) -> None:
    assert fit_image(np.full((1, 1000, 1), 9, np.uint8), make_card(8, 8, 1)).max() == 9


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for split, offset in (("train", 0), ("val", 100), ("test", 0)):
        for number in range(6):
            folder = tmp_path / "raw" / split / ("a" if number < 4 else "b")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.full((4 + number, 4, 3), offset + number, np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "raw"


def test_preprocess_writes_schema_report_and_manifest(raw: Path, tmp_path: Path) -> None:
    preprocess(make_card(4, 4, resize="stretch"), raw, tmp_path / "packed/d")
    packed = open_packed(tmp_path / "packed/d")
    assert packed.schema.counts == {"train": 6, "val": 6, "test": 6}
    assert packed.schema.class_counts["train"] == (4, 2)
    assert packed.schema.mean == pytest.approx([2.5 / 255] * 3)
    assert packed.split("val").images[:, 0, 0, 0].tolist() == [100, 101, 102, 103, 104, 105]
    report = json.loads((tmp_path / "packed/d/report.json").read_text())
    assert report["splits"]["train"]["samples_per_class"] == {"a": 4, "b": 2}
    assert report["splits"]["train"]["source_size"] == {
        "different": 6,
        "width_px": {"min": 4, "median": 4, "max": 4},
        "height_px": {"min": 4, "median": 6, "max": 9},
    }


def test_every_picture_is_opened_once(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # here, where it can be seen
    opened: list[str] = []
    listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "open" and str(arguments[0]).endswith(".png"):
            opened.append(str(arguments[0]))

    sys.addaudithook(listen)
    preprocess(make_card(4, 4), raw, tmp_path / "packed/d")
    listening = False
    assert sorted(opened) == sorted(map(str, raw.rglob("*.png")))


def test_duplicates_across_splits_are_found_by_their_pixels(raw: Path, tmp_path: Path) -> None:
    Image.open(raw / "test/a/0.png").save(raw / "test/a/0.bmp")
    (raw / "test/a/0.png").unlink()
    preprocess(make_card(4, 4), raw, tmp_path / "packed/d")
    report = json.loads((tmp_path / "packed/d/report.json").read_text())
    by_pair = {tuple(pair["splits"]): pair for pair in report["duplicates"]}
    assert by_pair["train", "test"]["count"] == 6 and by_pair["train", "val"]["count"] == 0
    assert ["train/a/0.png", "test/a/0.bmp"] in by_pair["train", "test"]["examples"]


def test_statistics_of_nothing_are_those_of_no_samples() -> None:
    nothing = merged([])
    assert (nothing.pixels, nothing.sums, nothing.class_counts, len(nothing.names)) == (0, (), (), 0)


def test_digests_that_end_in_zeros_are_duplicates_of_none_but_themselves() -> None:
    def found(**digests: bytes) -> Statistics:
        padded = [digest.ljust(DIGEST_BYTES, b"\0") for digest in digests.values()]
        return Statistics(0, (), (), (), Names(digests), b"".join(padded), Counter(), ())

    one, other = found(a=b"x", b=b"xy", c=b"", d=b"x"), found(e=b"xyz", f=b"x", g=b"")
    assert duplicates(("train", "val"), one, other) == {
        "splits": ["train", "val"],
        "count": 2,
        "examples": [["d", "f"], ["c", "g"]],
    }


def test_the_same_data_give_the_same_digest(raw: Path, tmp_path: Path) -> None:
    card = make_card(4, 4)
    for name in ("one", "two"):
        preprocess(card, raw, tmp_path / name)
    assert open_packed(tmp_path / "one").digest == open_packed(tmp_path / "two").digest
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(raw / "val/a/0.png")
    preprocess(card, raw, tmp_path / "two")
    assert open_packed(tmp_path / "one").digest != open_packed(tmp_path / "two").digest


def test_data_packed_by_another_version_of_the_format_are_refused(raw: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed/d"
    preprocess(make_card(4, 4), raw, packed)
    schema = packed / "schema.json"
    schema.write_text(schema.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(RegattaError, match="run 'dvc repro preprocess@d'"):
        open_packed(packed)


@pytest.mark.parametrize("file", ["train/images.npy", "test/targets.npy", "schema.json", "val/names.json"])
def test_manifest_notices_damage(raw: Path, tmp_path: Path, file: str) -> None:
    packed = tmp_path / "packed/d"
    preprocess(make_card(4, 4), raw, packed)
    verify(packed)
    content = bytearray((packed / file).read_bytes())
    content[-1] ^= 1
    (packed / file).write_bytes(content)
    with pytest.raises(RegattaError, match=f"{file}: is damaged"):
        verify(packed)
    (packed / file).unlink()
    with pytest.raises(RegattaError, match=f"{file}: is missing"):
        verify(packed)


def test_growing_array_is_what_numpy_writes(tmp_path: Path) -> None:
    """Whatever the order they are written in, and however many of them are kept."""
    rows = RNG.integers(0, 256, (100_003, 2), np.uint8)
    array = GrowingArray(tmp_path / "a.npy", (2,), np.uint8)
    begins = range(0, len(rows), 1000)
    for begin in reversed(begins):
        array.write(begin, rows[begin : begin + 1000])
    for begin in begins:
        array.keep(begin, len(rows[begin : begin + 1000]) - begin // 50_000)
    array.close()
    kept = [rows[begin : begin + 1000 - begin // 50_000] for begin in begins[:-1]] + [rows[-3:-2]]
    np.save(tmp_path / "b.npy", np.concatenate(kept), allow_pickle=False)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_whole_folder_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    dead = tmp_path / ".d.partial-4194305"  # above Linux's largest process id
    dead.mkdir()
    (dead / "half").write_text("half")
    with whole_folder(tmp_path / "d") as folder:
        (folder / "file").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert (tmp_path / "d/file").read_text() == "whole"


def test_whole_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError), whole_folder(tmp_path / "file/d"):
        pass
