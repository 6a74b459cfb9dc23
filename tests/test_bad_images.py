"""Odd images come out with the right pixels; bad ones are named in one line and nothing is half-written."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from regatta.errors import UnreadableError
from regatta.formats.pictures import read_image, read_mask
from regatta.packed.schema import Split, open_packed
from tasks import download, preprocess

RAMP = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
GREY = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16


def saved(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def test_rgba_keeps_its_colours(tmp_path: Path) -> None:
    alpha = np.full((4, 4, 1), 7, np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(np.concatenate([RAMP, alpha], axis=2)))
    assert np.array_equal(read_image(path, 3), RAMP)


def test_grey_among_colour_gets_three_equal_channels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(GREY))
    assert np.array_equal(read_image(path, 3), np.stack([GREY] * 3, axis=2))


def test_colour_among_grey_becomes_luma(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RAMP))
    luma = RAMP @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(path, 1)[..., 0] - luma).max() <= 1


@pytest.mark.parametrize(("suffix", "tolerance"), [("tif", 0), ("jpg", 6)])
def test_cmyk_becomes_rgb(tmp_path: Path, suffix: str, tolerance: int) -> None:
    """Flat (c, m, y, 0) is (255 - c, 255 - m, 255 - y); JPEGs of Adobe's kind lie inverted."""
    flat = np.zeros((16, 16, 4), np.uint8)
    flat[..., :3] = (200, 100, 30)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(flat, mode="CMYK"), quality=100)
    difference = read_image(path, 3).astype(int) - (55, 155, 225)
    assert np.abs(difference).max() <= tolerance


def test_sixteen_bits_keep_the_high_byte(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 257
    path = saved(tmp_path / "a.png", Image.fromarray(deep))
    assert np.array_equal(read_image(path, 1)[..., 0], GREY)
    assert np.array_equal(read_image(path, 3), np.stack([GREY] * 3, axis=2))


def test_sixteen_bit_colour_keeps_the_high_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(4, 4, RAMP.astype(">u2") * 257, bits=16))
    assert np.array_equal(read_image(path, 3), RAMP)


def test_palette_with_transparency(tmp_path: Path) -> None:
    picture = Image.fromarray(np.eye(4, dtype=np.uint8))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    path = saved(tmp_path / "a.png", picture, transparency=b"\x00\xff")
    expected = np.where(np.eye(4)[..., None] == 1, (200, 100, 50), (10, 20, 30))
    assert np.array_equal(read_image(path, 3), expected)


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(np.eye(4, dtype=np.uint8) * 255).convert("1"))
    assert np.array_equal(read_image(path, 1)[..., 0], np.eye(4) * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_turns_the_image_upright(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn to the left
    path = saved(tmp_path / "a", Image.fromarray(RAMP[:2]), format=kind, exif=exif, lossless=True)
    found, upright = read_image(path, 3), np.rot90(RAMP[:2], -1)
    assert found.shape == upright.shape
    assert kind == "JPEG" or np.array_equal(found, upright)


def test_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(RAMP), format="PNG")
    assert np.array_equal(read_image(path, 3), RAMP)


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "1"])
def test_masks_keep_their_labels(tmp_path: Path, mode: str) -> None:
    labels = np.eye(4, dtype=np.uint8) * (1 if mode == "1" else 3)
    pictures: dict[str, Callable[[], Image.Image]] = {
        "L": lambda: Image.fromarray(labels),
        "P": lambda: with_palette(labels),
        "I;16": lambda: Image.fromarray(labels.astype(np.uint16)),
        "1": lambda: Image.fromarray(labels.astype(bool)),
    }
    assert np.array_equal(read_mask(saved(tmp_path / "m.png", pictures[mode]())), labels)


def with_palette(labels: np.ndarray[Any, np.dtype[np.uint8]]) -> Image.Image:
    picture = Image.fromarray(labels)
    picture.putpalette([200, 100, 50] * 8)
    return picture


def png(width: int, height: int, samples: np.ndarray[Any, Any], bits: int = 8) -> bytes:
    """A PNG of RGB samples, written by hand; the header may promise more than there is."""
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def whole_jpeg(tmp_path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return saved(tmp_path / "whole.jpg", Image.fromarray(noise)).read_bytes()


def gif(tmp_path: Path) -> bytes:
    return saved(tmp_path / "whole.gif", Image.fromarray(GREY)).read_bytes()


def animation(tmp_path: Path) -> bytes:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY.T.copy())]
    path = saved(tmp_path / "a.apng.png", frames[0], save_all=True, append_images=frames[1:])
    return path.read_bytes()


def float_tiff(tmp_path: Path) -> bytes:
    return saved(tmp_path / "f.tif", Image.fromarray(GREY.astype(np.float32))).read_bytes()


BAD: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "truncated JPEG": ("x.jpg", lambda tmp: whole_jpeg(tmp)[:-1500], "truncated or corrupt"),
    "JPEG of a header": ("x.jpg", lambda tmp: whole_jpeg(tmp)[:20], "truncated or corrupt"),
    "truncated PNG": ("x.png", lambda tmp: png(4, 4, RAMP)[:-25], "truncated or corrupt"),
    "altered PNG": ("x.png", lambda tmp: png(4, 4, RAMP).replace(b"IDAT", b"IDAT~"), "truncated or corrupt"),
    "zero bytes": ("x.png", lambda tmp: b"", "empty (0 bytes)"),
    "text": ("x.png", lambda tmp: b"Not found", "is none of JPEG"),
    "GIF": ("x.jpg", gif, "is a GIF"),
    "SVG": ("x.png", lambda tmp: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is SVG"),
    "bomb": ("x.png", lambda tmp: png(50_000, 50_000, RAMP), "decompression bomb"),
    "animation": ("x.png", animation, "holds several pictures"),
    "32-bit floats": ("x.tif", float_tiff, "32-bit"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_image_says_why(tmp_path: Path, kind: str) -> None:
    name, make, reason = BAD[kind]
    (tmp_path / name).write_bytes(make(tmp_path))
    with pytest.raises(UnreadableError, match=reason.replace("(", r"\(").replace(")", r"\)")):
        read_image(tmp_path / name, 3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one own data set of masks: twelve images of 8x8 per split, all good."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (tmp_path / "own" / split / kind).mkdir(parents=True)
        for number in range(12):
            picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
            mask = Image.fromarray(rng.integers(0, 3, (8, 8), np.uint8))
            saved(tmp_path / f"own/{split}/images/{number:02}.png", picture)
            saved(tmp_path / f"own/{split}/masks/{number:02}.png", mask)
    write_card()
    return tmp_path


def write_card(**more: Any) -> None:
    card = {
        "title": "t",
        "problem": "segmentation",
        "format": "mask-folder",
        "licence": "l",
        "citation": "c",
        "classes": ["a", "b", "c"],
        "ignore_label": 255,
        "image": {"height_px": 8, "width_px": 8},
        "path": "own",
        "splits": {
            split: {"images": f"{split}/images", "masks": f"{split}/masks"}
            for split in ("train", "val", "test")
        },
    }
    Path("datasets/d.yaml").write_text(yaml.safe_dump(card | more))


def packed(split: str) -> Split:
    download.main(["d"])
    preprocess.main(["d"])
    return open_packed(Path("data/packed/d")).split(split)


def expect_one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Preprocessing ends with 2 and one line that has *words*; nothing is left of its output."""
    download.main(["d"])
    with pytest.raises(SystemExit) as end:
        preprocess.main(["d"])
    message = capsys.readouterr().err
    assert end.value.code == 2
    assert message.count("\n") == 1 and all(word in message for word in words), message
    assert not Path("data/packed").exists() or not list(Path("data/packed").iterdir())


def test_the_good_project_packs(project: Path) -> None:
    assert len(packed("train")) == 12


@pytest.mark.parametrize("kind", BAD)
def test_bad_image_stops_the_stage_by_name(
    project: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    name, make, reason = BAD[kind]
    bad = project / "own/train/images/03"
    bad.with_suffix(".png").unlink()
    bad.with_suffix(Path(name).suffix).write_bytes(make(project))
    expect_one_line(capsys, "1 of 12", f"train/images/03{Path(name).suffix}", reason)


def break_mask(split: str, number: int, labels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    saved(Path(f"own/{split}/masks/{number:02}.png"), Image.fromarray(labels))


def test_mask_of_another_size(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_mask("val", 7, np.zeros((8, 9), np.uint8))
    expect_one_line(capsys, "val/images/07.png", "its mask is 9x8 px, the image 8x8")


def test_mask_with_a_label_outside_the_classes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_mask("test", 0, np.full((8, 8), 3, np.uint8))
    expect_one_line(capsys, "test/images/00.png", "label 3", "0-2 and 255 (ignored)")


def test_mask_of_colours(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_mask("train", 1, np.zeros((8, 8, 3), np.uint8))
    expect_one_line(capsys, "train/images/01.png", "its mask has RGB pixels")


def test_image_without_mask(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own/train/masks/02.png").unlink()
    expect_one_line(capsys, "train/images/02.png", "has no mask of the same name")


def test_two_images_of_one_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(Path("own/train/images/02.bmp"), Image.fromarray(RAMP))
    expect_one_line(capsys, "02.png", "02.bmp", "suffix")


def test_split_without_images(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path("own/val/images").iterdir():
        path.unlink()
    expect_one_line(capsys, "split 'val' has no samples")


def test_many_bad_images_are_five_names_and_a_count(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        Path(f"own/train/images/{number:02}.png").write_bytes(b"")
    expect_one_line(capsys, "8 of 12", "04.png", "and 3 more", "unreadable_share")


def test_a_share_of_bad_images_is_left_out_when_the_card_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, 5):
        Path(f"own/train/images/{number:02}.png").write_bytes(b"")
    write_card(unreadable_share=0.1)
    expect_one_line(capsys, "2 of 12")
    write_card(unreadable_share=0.2)
    split = packed("train")
    names = [f"train/images/{number:02}.png" for number in range(12) if number not in (0, 5)]
    assert list(split.names) == names
    for at, name in enumerate(names):
        assert np.array_equal(split.images[at], np.asarray(Image.open(Path("own", name))))
        mask = Image.open(Path("own", name.replace("images", "masks")))
        assert np.array_equal(split.targets[at], np.asarray(mask))
    report = json.loads(Path("data/packed/d/report.json").read_text())
    found = report["splits"]["train"]["unreadable"]
    assert [one["name"] for one in found] == ["train/images/00.png", "train/images/05.png"]
    assert all("0 bytes" in one["reason"] for one in found)


def test_failed_packing_leaves_the_former_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed("train")
    before = Path("data/packed/d/.manifest.json").read_bytes()
    Path("own/train/images/00.png").write_bytes(b"")
    download.main(["d"])
    with pytest.raises(SystemExit):
        preprocess.main(["d"])
    assert Path("data/packed/d/.manifest.json").read_bytes() == before
    assert [path.name for path in Path("data/packed").iterdir()] == ["d"]


def test_letterbox_without_ignore_label_says_what_to_set(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_card(ignore_label=None, image={"height_px": 8, "width_px": 12})
    expect_one_line(capsys, "datasets/d.yaml", "ignore_label", "resize: stretch")
