"""Unpacking archives of strangers: files and folders below the target, within a bound, and nothing else."""

import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from regatta.errors import RegattaError
from regatta.whole import named

CHUNK_BYTES = 2**20
MEMBER_BYTES = 4096
"""What a member counts for at least: many empty files fill a disk too."""
NAME_BYTES_MAX, DEPTH_MAX = 255, 64
HEADER_BYTES_MAX = 2**20
HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
"""Long names and attributes, which tarfile reads into memory at once however long they say they are."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str
    is_folder: bool
    is_file: bool
    """False for links, devices, pipes and files with holes."""
    open: Callable[[], IO[bytes] | gzip.GzipFile | None]


def unpack(archive: Path, name: str, target: Path, bytes_max: int) -> int:
    """Unpack *archive*, called *name*, into *target*; how much of *bytes_max* it took.

    tar (plain, gz, bz2, xz), zip, a single gz; anything else is copied as it is.

    Raises:
        RegattaError: it is damaged, would leave *target*, holds links, or unpacks to more than *bytes_max*.
    """
    taken = 0
    try:
        for member in _members(archive, name):
            path = _inside(target, member, name)
            taken += max(MEMBER_BYTES, _write(member, path, name, bytes_max - taken))
            if taken > bytes_max:
                raise _too_much(name)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as fault:
        raise RegattaError(f"{name}: damaged archive: {fault}") from None
    except RuntimeError as fault:  # zipfile: encrypted, or packed by an unknown method
        raise RegattaError(f"{name}: cannot be unpacked: {fault}") from None
    except OSError as fault:
        if fault.errno:  # of this disk
            raise
        raise RegattaError(f"{name}: damaged archive: {fault}") from None  # gzip's and bz2's
    return taken


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
    with tarfile.open(archive, tarinfo=_Entry) as tar:
        for entry in tar:
            # Or memory would grow with each of them.
            tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
            is_file = entry.isreg() and not entry.issparse()
            yield Member(entry.name, entry.isdir(), is_file, lambda entry=entry: tar.extractfile(entry))


class _Entry(tarfile.TarInfo):
    """An entry whose header is no bomb."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Entry":
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in HEADERS and entry.size > HEADER_BYTES_MAX:
            raise tarfile.ReadError(f"a header of {entry.size} bytes")
        return entry


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
    if any(len(os.fsencode(part)) > NAME_BYTES_MAX for part in path.parts) or len(path.parts) > DEPTH_MAX:
        raise RegattaError(f"{name}: refused: member {member.name[:80]!r}… has too long a name")
    return target / path


def _write(member: Member, path: Path, name: str, room_bytes: int) -> int:
    """Write the member; how many bytes it has, 0 for a folder."""
    try:
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with named(path), path.open("xb") as out:
            return _copy(member, out, name, room_bytes)
    except (FileExistsError, NotADirectoryError):
        raise RegattaError(f"{name}: refused: two members want the place of {member.name!r}") from None


def _copy(member: Member, out: BinaryIO, name: str, room_bytes: int) -> int:
    source = member.open()
    assert source is not None, "only files are opened"
    with source:
        while chunk := source.read(CHUNK_BYTES):
            if out.tell() + len(chunk) > room_bytes:
                raise _too_much(name)
            out.write(chunk)
    return out.tell()


def _too_much(name: str) -> RegattaError:
    return RegattaError(
        f"{name}: refused: it unpacks to more than the card allows; raise unpacked_bytes_max if that is right"
    )
