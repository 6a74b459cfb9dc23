"""Digests of files and of plain values: the same content gives the same digest on every machine."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xxhash import xxh3_128


def digest_of_value(value: Any) -> str:
    """sha256 of a JSON-able value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: str | Path) -> str:
    """128 bits of XXH3 of the file's bytes, at the speed of memory: no altered file has them by chance.

    One that somebody altered with care may; but who can do that can write its digest anew as well.
    """
    with open(path, "rb") as file:  # noqa: PTH123 (see regatta.verified.File)
        return hashlib.file_digest(file, xxh3_128).hexdigest()


def digest_of_sources(places: Iterable[Path]) -> str:
    """sha256 over the names and bytes of the Python files at *places* (files, or folders with all below)."""
    whole = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            whole.update(f"{path.as_posix()}\0{path.stat().st_size}\0".encode())
            whole.update(path.read_bytes())
    return whole.hexdigest()
