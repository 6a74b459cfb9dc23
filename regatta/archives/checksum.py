"""Whether a file is the one that its card names."""

from pathlib import Path

from regatta.settings.origin import SourceFile
from regatta.verified import Algorithm, differing


def check_file(path: Path, file: SourceFile) -> str | None:
    """None when *path* has the size and checksum of *file*, else what was expected and found."""
    size_bytes = path.stat().st_size
    if file.size_bytes and size_bytes != file.size_bytes:
        return f"expected {file.size_bytes} bytes, found {size_bytes}"
    algorithm: Algorithm = "sha256" if file.sha256 else "md5"
    expected = file.sha256 or file.md5 or ""
    wrong, _ = differing([(path, expected)], algorithm)
    return f"expected {algorithm} {expected}, found {wrong[path]}" if wrong else None
