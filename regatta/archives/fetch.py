"""Fetching a file from the first mirror that has it whole; an interrupted fetch goes on where it stopped."""

import fcntl
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from regatta.archives.checksum import check_file
from regatta.errors import RegattaError
from regatta.progress import progress
from regatta.settings.addresses import without_password
from regatta.settings.card import Card
from regatta.settings.origin import SourceFile
from regatta.whole import named

CONNECT_S, READ_S = 10, 30
ATTEMPTS = 3
"""Per mirror: a connection that breaks is taken up again."""
CHUNK_BYTES = 2**18


class _MirrorFault(Exception):
    """This mirror does not give the file; the message says why."""


def mirrors(card: Card) -> list[str]:
    """Addresses of folders that may hold the card's files: REGATTA_MIRROR's first, then the card's."""
    own = os.environ.get("REGATTA_MIRROR")
    first = [f"{own.rstrip('/')}/{card.name}"] if own else []
    return first + [address.rstrip("/") for address in card.mirrors]


def fetch(file: SourceFile, addresses: Sequence[str], downloads: Path) -> Path:
    """Path of the whole, checked file: below *downloads*, or where a file: mirror has it.

    Raises:
        RegattaError: no mirror gives it; the line names the file and what each mirror had instead.
    """
    kept = downloads / f"{file.sha256 or file.md5}-{file.name}"
    downloads.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    with _alone(kept):
        if kept.exists():
            damage = check_file(kept, file)
            if damage is None:
                return kept
            print(f"{kept}: is damaged ({damage}); fetching it again", flush=True)
            kept.unlink()
        for address in addresses:
            try:
                return _from(f"{address}/{file.name}", file, kept)
            except _MirrorFault as fault:
                faults.append(f"{without_password(address, address)}: {fault}")
    reasons = "; ".join(faults) or "no mirrors are given"
    raise RegattaError(f"cannot fetch '{file.name}': {reasons}: set REGATTA_MIRROR to a mirror that has it")


def _from(url: str, file: SourceFile, kept: Path) -> Path:
    scheme = urlsplit(url).scheme
    if scheme == "file":
        path = Path(unquote(urlsplit(url).path))
        fault = check_file(path, file) if path.is_file() else "not there"
        if fault:
            raise _MirrorFault(fault)
        return path
    if scheme not in ("http", "https"):
        raise _MirrorFault("neither http(s): nor file:")
    partial = kept.with_name(kept.name + ".partial")
    fault = None
    for _ in range(2 if partial.exists() else 1):  # what was there may have come from a worse mirror
        _download(url, file, partial)
        fault = check_file(partial, file)
        if fault is None:
            partial.rename(kept)
            return kept
        partial.unlink()  # going on from wrong bytes would stay wrong
    raise _MirrorFault(fault)


def _download(url: str, file: SourceFile, partial: Path) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _go_on(url, file, partial)
            return
        except requests.RequestException as fault:
            if attempt == ATTEMPTS or isinstance(fault, requests.exceptions.InvalidURL):
                raise _MirrorFault(_in_short(fault)) from None
            print(f"{file.name}: {_in_short(fault)}; trying again", flush=True)


def _go_on(url: str, file: SourceFile, partial: Path) -> None:
    """Fetch what is missing of *partial*; from the start where the server does not do ranges."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the checksum will tell
        if not response.ok:
            raise _MirrorFault(f"HTTP {response.status_code} {response.reason}")
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        _append(response, file, partial, have if goes_on else 0)


def _append(response: requests.Response, file: SourceFile, partial: Path, begin: int) -> None:
    coming = int(response.headers.get("Content-Length", 0))
    if file.size_bytes and coming and begin + coming != file.size_bytes:
        raise _MirrorFault(f"expected {file.size_bytes} bytes, found {begin + coming}")
    if begin:
        print(f"{file.name}: going on at {begin / 1e6:.0f} MB", flush=True)
    advance = progress(file.name, coming, "MB", scale=1e6)
    with named(partial), partial.open("r+b" if begin else "wb") as out:
        out.seek(begin)
        for chunk in response.iter_content(CHUNK_BYTES):
            out.write(chunk)
            advance(len(chunk))


def _in_short(fault: requests.RequestException) -> str:
    """A sentence that a person can use; the exception's own text names objects in memory."""
    if isinstance(fault, requests.Timeout):
        return "no answer in time"
    if isinstance(fault, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    return "no connection" if isinstance(fault, requests.ConnectionError) else type(fault).__name__


@contextmanager
def _alone(kept: Path) -> Generator[None, None, None]:
    """Two workspaces that want the same file: one fetches, the other waits and then finds it."""
    with kept.with_name(kept.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
