"""Plain pictures are read without Pillow, and nobody can tell: by pixels, or by what damage is called."""

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from regatta.errors import UnreadableError
from regatta.formats import pictures
from regatta.formats.pictures import read_image, read_mask
from regatta.formats.plain_pictures import PIXELS_MAX, plain_pixels

SIZES = ((1, 1), (7, 5), (33, 17), (64, 48))
PNGS: list[dict[str, Any]] = [{}, {"compress_level": 0}, {"optimize": True}, {"dpi": (72, 72)}]
JPEGS: list[dict[str, Any]] = [
    {},
    {"quality": 95, "subsampling": "4:4:4"},
    {"subsampling": "4:2:2"},
    {"subsampling": "4:2:0", "progressive": True},
    {"restart_marker_blocks": 2, "comment": b"by hand"},
    {"quality": 3, "optimize": True},
    {"dpi": (72, 72)},
]


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(channels: int, width_px: int, height_px: int) -> Image.Image:
    rng = np.random.default_rng(width_px + channels)
    pixels = rng.integers(0, 256, (height_px, width_px, channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def files(channels: int) -> Iterator[bytes]:
    for size in SIZES:
        picture = noise(channels, *size)
        for kind, ways in (("png", PNGS), ("jpeg", JPEGS)):
            yield from (encoded(picture, kind, **way) for way in ways)


@pytest.mark.parametrize("channels", [1, 3])
def test_plain_files_have_the_pixels_that_pillow_finds(channels: int) -> None:
    for data in files(channels):
        expected = np.asarray(Image.open(io.BytesIO(data)))
        found = plain_pixels(data, channels)
        assert found is not None and found.dtype == np.uint8
        assert np.array_equal(found, expected.reshape(found.shape))
        assert plain_pixels(data, 4 - channels) is None


def with_exif(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def text(key: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value)
    return info


def not_plain() -> dict[str, bytes]:
    rgb, grey = noise(3, 16, 16), noise(1, 16, 16)
    return {
        "turned PNG": encoded(rgb, "png", exif=with_exif(6)),
        "turned JPEG": encoded(rgb, "jpeg", exif=with_exif(6)),
        "PNG with text": encoded(rgb, "png", pnginfo=text("Raw profile type exif", "\nexif\n0\n")),
        "PNG with a profile": encoded(rgb, "png", icc_profile=b"\x00" * 128),
        "JPEG with a profile": encoded(rgb, "jpeg", icc_profile=b"\x00" * 128),
        "transparent": encoded(rgb.convert("RGBA"), "png"),
        "palette": encoded(rgb.quantize(16), "png"),
        "one bit": encoded(grey.convert("1"), "png"),
        "sixteen bits": encoded(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "png"),
        "inks": encoded(rgb.convert("CMYK"), "jpeg"),
        "without JFIF": encoded(rgb, "jpeg", keep_rgb=True),
        "animation": encoded(rgb, "png", save_all=True, append_images=[rgb.rotate(90)]),
        "BMP": encoded(rgb, "bmp"),
        "nothing": b"",
    }


@pytest.mark.parametrize("name", not_plain())
def test_all_others_are_left_to_pillow(name: str) -> None:
    assert plain_pixels(not_plain()[name], 3) is None
    assert plain_pixels(not_plain()[name], 1) is None


def test_a_bomb_is_left_to_pillow() -> None:
    data = bytearray(encoded(noise(1, 1, 1), "png"))
    data[16:24] = (PIXELS_MAX).to_bytes(4) + (2).to_bytes(4)
    assert plain_pixels(bytes(data), 1) is None


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut short, or a bit turned, or some bytes lost, put in or wiped, mostly near the beginning."""
    near = min(len(data), 120)
    at = chance.randrange(near if chance.random() < 0.5 else len(data))
    some = chance.randrange(1, 9)
    turned = bytes([data[at] ^ 1 << chance.randrange(8)])
    return chance.choice(
        (
            data[:at],
            data[:at] + turned + data[at + 1 :],
            data[:at] + data[at + some :],
            data[:at] + chance.randbytes(some) + data[at:],
            data[:at] + bytes(some) + data[at + some :],
        )
    )


def outcomes(path: Path) -> list[NDArray[Any] | str]:
    """What becomes of a file as a grey image, as one of colours, and as a mask."""
    found: list[NDArray[Any] | str] = []
    for read in (lambda: read_image(path, 1), lambda: read_image(path, 3), lambda: read_mask(path)):
        try:
            found.append(read())
        except UnreadableError as fault:
            found.append(str(fault))
    return found


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damages that it reads past.
def test_damaged_files_come_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, whole = random.Random(0), [*files(1), *files(3)]
    plain = 0
    for number in range(600):
        path = tmp_path / f"{number}.picture"
        path.write_bytes(damaged(chance.choice(whole), chance))
        plain += any(plain_pixels(path.read_bytes(), channels) is not None for channels in (1, 3))
        ours = outcomes(path)
        with monkeypatch.context() as patched:
            patched.setattr(pictures, "plain_pixels", lambda data, channels: None)
            theirs = outcomes(path)
        for one, other in zip(ours, theirs, strict=True):
            assert type(one) is type(other), (number, one, other)
            assert np.array_equal(one, other), (number, one, other)
    assert plain > 20, "of some, the damage can be read past"
