"""A checksum for every file of a packed data set: its identity, and a way to notice damage."""

import hashlib
import json
from pathlib import Path

from regatta.errors import RegattaError

MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Write manifest.json over all files below *folder*."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {path.relative_to(folder).as_posix(): _entry(path) for path in files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def check_manifest(folder: Path) -> None:
    """Read every file of the packed data set at *folder* and compare it with the manifest.

    Raises:
        RegattaError: a file is missing or not what was packed.
    """
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name, expected in content.items():
        path = folder / name
        found = _entry(path) if path.is_file() else None
        if found != expected:
            state = "is damaged" if found else "is missing"
            raise RegattaError(
                f"{path}: {state}; remove {folder} and run 'dvc repro -f preprocess@{folder.name}'"
            )


def _entry(path: Path) -> dict[str, str | int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "size_bytes": path.stat().st_size}
