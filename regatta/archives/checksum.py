"""Whether a file is the one that its card names."""

import hashlib
from pathlib import Path

from regatta.settings.origin import SourceFile


def check_file(path: Path, file: SourceFile) -> str | None:
    """None when *path* has the size and checksum of *file*, else what was expected and found."""
    size_bytes = path.stat().st_size
    if file.size_bytes and size_bytes != file.size_bytes:
        return f"expected {file.size_bytes} bytes, found {size_bytes}"
    kind, expected = ("sha256", file.sha256) if file.sha256 else ("md5", file.md5)
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, kind).hexdigest()
    return None if found == expected else f"expected {kind} {expected}, found {found}"
