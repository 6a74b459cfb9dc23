"""Unpacking archives of strangers: files and folders below the target, within a bound, and nothing else."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from regatta.errors import RegattaError

CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str
    is_folder: bool
    is_file: bool
    """False for links, devices and pipes."""
    open: Callable[[], IO[bytes] | gzip.GzipFile | None]


def unpack(archive: Path, name: str, target: Path, bytes_max: int) -> int:
    """Unpack *archive*, called *name*, into *target*; how many bytes it gave.

    tar (plain, gz, bz2, xz), zip, a single gz; anything else is copied as it is.

    Raises:
        RegattaError: it is damaged, would leave *target*, holds links, or unpacks to more than *bytes_max*.
    """
    written = 0
    try:
        for member in _members(archive, name):
            path = _inside(target, member, name)
            if member.is_folder:
                path.mkdir(parents=True, exist_ok=True)
            else:
                written += _write(member, path, name, bytes_max - written)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        gzip.BadGzipFile,
    ) as fault:
        raise RegattaError(f"{name}: damaged archive: {fault}") from None
    except (RuntimeError, NotImplementedError) as fault:  # zipfile: encrypted, or an unknown method
        raise RegattaError(f"{name}: cannot be unpacked: {fault}") from None
    return written


def _members(archive: Path, name: str) -> Iterator[Member]:
    if name.endswith(".zip"):
        yield from _zip_members(archive)
    elif ".tar" in name or name.endswith((".tgz", ".tbz2", ".txz")):
        yield from _tar_members(archive)
    elif name.endswith(".gz"):
        yield Member(name.removesuffix(".gz"), False, True, lambda: gzip.GzipFile(archive))
    else:
        yield Member(name, False, True, lambda: archive.open("rb"))


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as tar:
        for entry in tar:
            yield Member(entry.name, entry.isdir(), entry.isreg(), lambda entry=entry: tar.extractfile(entry))


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as pack:
        for entry in pack.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            is_file = not entry.is_dir() and kind in (0, stat.S_IFREG)
            yield Member(entry.filename, entry.is_dir(), is_file, lambda entry=entry: pack.open(entry))


def _inside(target: Path, member: Member, name: str) -> Path:
    """Where the member goes: below *target*, or nowhere."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise RegattaError(f"{name}: refused: member {member.name!r} would leave the data set's folder")
    if not (member.is_folder or member.is_file):
        raise RegattaError(f"{name}: refused: member {member.name!r} is a link or a device, not a file")
    return target / path


def _write(member: Member, path: Path, name: str, room_bytes: int) -> int:
    """Write a member that is a file; how many bytes it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None, "only files are opened"
    try:
        with source, path.open("xb") as out:
            while chunk := source.read(CHUNK_BYTES):
                if out.tell() + len(chunk) > room_bytes:
                    raise RegattaError(
                        f"{name}: refused: it unpacks to more than the card allows; "
                        f"raise unpacked_bytes_max if that is right"
                    )
                out.write(chunk)
            return out.tell()
    except FileExistsError:
        raise RegattaError(f"{name}: refused: two members are called {member.name!r}") from None
