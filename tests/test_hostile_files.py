"""Archives and images made to harm: refused by name, in seconds, and within a bound on memory."""

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regatta.archives.unpack import unpack
from regatta.errors import RegattaError
from tests.conftest import ROOT
from tests.made_archives import tar

BOUND_BYTES = 10_000_000


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as pack:
        for info, data in members:
            pack.writestr(info, data)
    return content.getvalue()


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def raw_header(name: str, kind: bytes, size_bytes: int) -> bytes:
    """A header alone; tarfile writes none that promises more than it holds."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size_bytes
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse() -> bytes:
    """Says that it is a terabyte, of which 512 bytes are there (GNU's old form)."""
    header = bytearray(raw_header("hole", tarfile.GNUTYPE_SPARSE, 512))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(512 + 1024)


HARMFUL: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "absolute": ("a.zip", lambda: zipped(("/tmp/escaped", b"1")), "would leave"),
    "parent": ("a.zip", lambda: zipped(("a/../../escaped", b"1")), "would leave"),
    "windows": ("a.zip", lambda: zipped((special("..\\escaped", 0o100644), b"1")), "would leave"),
    "device": ("a.zip", lambda: zipped((special("tty", 0o020666), b"")), "link or a device"),
    "pipe": ("a.zip", lambda: zipped((special("pipe", 0o010666), b"")), "link or a device"),
    "folder and file": ("a.zip", lambda: zipped(("a", b"1"), ("a/b", b"1")), "two members"),
    "long name": ("a.tar.gz", lambda: tar((tarfile.TarInfo("n" * 300), b"1")), "too long a name"),
    "deep": ("a.tar.gz", lambda: tar((tarfile.TarInfo("n/" * 2000 + "n"), b"1")), "too long a name"),
    "no encoding": ("a.zip", lambda: zipped(("ü", b"1")).replace("ü".encode(), b"\xff\xff"), "damaged"),
    "many files in tar": (
        "a.tar.gz",
        lambda: tar(*((tarfile.TarInfo(f"{i}"), b"") for i in range(2500))),
        "unpacked_bytes_max",
    ),
    "many folders in zip": (
        "a.zip",
        lambda: zipped(*((f"{i}/", b"") for i in range(2500))),
        "unpacked_bytes_max",
    ),
    "bomb in bz2": ("a.tar.bz2", lambda: recompressed("w:bz2", bytes(12_000_000)), "unpacked_bytes_max"),
    "bomb in xz": ("a.tar.xz", lambda: recompressed("w:xz", bytes(12_000_000)), "unpacked_bytes_max"),
    "damaged bz2": ("a.tar.bz2", lambda: damaged("w:bz2"), "damaged archive"),
    "damaged xz": ("a.tar.xz", lambda: damaged("w:xz"), "damaged archive"),
    "sparse": ("a.tar", sparse, "not a file"),
    "endless name": ("a.tar", lambda: endless(tarfile.GNUTYPE_LONGNAME), "header of"),
    "endless attributes": ("a.tar", lambda: endless(tarfile.XHDTYPE), "header of"),
}


def recompressed(mode: Any, data: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as pack:
        info = tarfile.TarInfo("zeros")
        info.size = len(data)
        pack.addfile(info, io.BytesIO(data))
    return content.getvalue()


def damaged(mode: str) -> bytes:
    whole = recompressed(mode, np.random.default_rng(0).bytes(50_000))
    return whole[:20_000] + bytes(100) + whole[20_100:]


def endless(kind: bytes) -> bytes:
    first = tarfile.TarInfo("fine").tobuf()
    return first + raw_header("x", kind, 2**30) + bytes(10_000)


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_archive_is_refused_and_leaves_its_folder_alone(kind: str, tmp_path: Path) -> None:
    name, make, reason = HARMFUL[kind]
    (tmp_path / name).write_bytes(make())
    target = tmp_path / "target"
    target.mkdir()
    tracemalloc.start()
    try:
        with pytest.raises(RegattaError) as fault:
            unpack(tmp_path / name, name, target, BOUND_BYTES)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(fault.value).startswith(f"{name}: ") and reason in str(fault.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "target"])
    assert sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) <= BOUND_BYTES
    assert peak_bytes < 20_000_000


def png(width: int, height: int, body: bytes, *more: tuple[bytes, bytes], depth: int = 8) -> bytes:
    """A grey PNG; the header may promise more than there is."""
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(body, 1)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def small(kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 8, 7)).save(content, kind, **options)
    return content.getvalue()


def huge_jpeg() -> bytes:
    content = bytearray(small("JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(content)


def tiff(width: int, height: int, pages: int = 1) -> bytes:
    """Pages of one strip of one byte, each said to be so large."""
    values = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height))
    content = b"II*\0" + struct.pack("<I", 10) + b"\x80\0"
    for page in range(pages):
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in (*values, (279, 1)))
        following = len(content) + 2 + len(entries) + 4 if page < pages - 1 else 0
        content += struct.pack("<H", 9) + entries + struct.pack("<I", following)
    return content


def exif(orientation: bytes) -> bytes:
    """A JPEG whose EXIF has one odd entry, and leads on to itself."""
    loop = struct.pack("<I", 8)
    tags = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + orientation
    return small("JPEG", exif=b"Exif\0\0" + tags + struct.pack("<HHI", 0x8769, 4, 1) + loop + loop)


WHOLE_PICTURES = {
    "EXIF of no orientation": lambda: exif(struct.pack("<HHII", 0x0112, 3, 1, 99)),
    "EXIF of many orientations": lambda: exif(struct.pack("<HHII", 0x0112, 3, 2**30, 6)),
    "EXIF of words": lambda: exif(struct.pack("<HHI4s", 0x0112, 2, 4, b"up!\0")),
    "TIFF that leads to itself": lambda: tiff(1, 1)[:-4] + struct.pack("<I", 10),
}
"""Odd, but the pixels are whole."""
HARMFUL_PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "header of a PNG": (lambda: png(60_000, 60_000, b""), "decompression bomb"),
    "header of a PNG just above the bound": (lambda: png(9_460, 9_460, b""), "decompression bomb"),
    "whole PNG of one gigabyte": (lambda: png(32_000, 32_000, bytes(4_001 * 32_000), depth=1), "bomb"),
    "header of a JPEG": (huge_jpeg, "decompression bomb"),
    "header of a TIFF": (lambda: tiff(60_000, 60_000), "decompression bomb"),
    "header of a BMP": (lambda: small("BMP").replace(struct.pack("<ii", 16, 16), b"\0\0\1\0" * 2), "bomb"),
    "header of a PPM": (lambda: b"P6 60000 60000 255\n", "decompression bomb"),
    "header of a GIF": (lambda: b"GIF89a\xff\xff\xff\xff" + bytes(100), "is a GIF"),
    "TIFF of 20,000 pages": (lambda: tiff(1, 1, 20_000), "holds several pictures"),
    "animated WebP": (
        lambda: small("WEBP", save_all=True, append_images=[Image.new("RGB", (16, 16))]),
        "sev",
    ),
    "text of a PNG": (
        lambda: png(1, 1, b"\0\0", (b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8)))),
        "corrupt",
    ),
    "profile of a PNG": (lambda: png(1, 1, b"\0\0", (b"iCCP", b"k\0\0" + zlib.compress(bytes(10**8)))), ""),
    "XML of a million laughs": (
        lambda: b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
        "is SVG or XML",
    ),
    "truncated TIFF": (lambda: tiff(8, 8)[:60], ""),
}
READ_ALL = """
import json, resource, sys, time
from pathlib import Path
from regatta.errors import UnreadableError
from regatta.formats.pictures import read_image, read_mask

base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (lambda path: read_image(path, 3).shape, lambda path: read_mask(path).shape):
        began_s = time.process_time()
        try:
            found = read(path)
        except UnreadableError as fault:
            found = str(fault)
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
        print(json.dumps([path.stem, found, time.process_time() - began_s, peak_kb]))
"""


def test_harmful_pictures_are_refused_in_seconds_and_little_memory(tmp_path: Path) -> None:
    """In a process of its own, whose memory is measured; images and masks alike."""
    for kind, make in (*WHOLE_PICTURES.items(), *((k, v[0]) for k, v in HARMFUL_PICTURES.items())):
        (tmp_path / f"{kind}.png").write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2 * (len(WHOLE_PICTURES) + len(HARMFUL_PICTURES))
    for kind, found, cpu_s, peak_kb in rows:
        assert cpu_s < 3, kind
        assert peak_kb < 200_000, kind
        if kind in WHOLE_PICTURES:
            assert found in ([16, 16, 3], [1, 1, 3], [1, 1]) or found.startswith("has RGB pixels"), kind
        else:
            assert isinstance(found, str) and HARMFUL_PICTURES[kind][1] in found, (kind, found)
            assert "\n" not in found
