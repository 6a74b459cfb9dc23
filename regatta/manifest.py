"""A digest for each file of a folder that one step hands to the next: its identity, and how damage is seen.

    FOLDER/.manifest.json    {"files": {path in the folder: sha256}, "sha256": of all these}

Its name is hidden, so that nobody takes it for one of a data set's own files.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from regatta.digest import digest_of_file
from regatta.errors import RegattaError
from regatta.verified import Cost, differing

MANIFEST = ".manifest.json"
REPAIR = "python -m flows.doctor --fix; dvc repro"
"""DVC alone does not see every damage, and would bring damaged bytes back from a damaged cache."""


@dataclass(frozen=True)
class Damage:
    """A file that is not as its manifest says."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def write_manifest(folder: Path) -> None:
    """Write the manifest of all files below *folder*: same files, same bytes.

    Raises:
        RegattaError: one of them has the manifest's own name.
    """
    names = _names(folder)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(digest_of_file, [folder / name for name in names])
        digests = dict(zip(names, found, strict=True))
    if MANIFEST in digests:
        raise RegattaError(
            f"'{MANIFEST}': the data hold a file of this name, which is kept for ours; rename it"
        )
    (folder / MANIFEST).write_bytes(_bytes(digests))


def verify(*folders: Path) -> Cost:
    """Make sure that *folders* hold, byte for byte, what was written into them; what that cost.

    Raises:
        RegattaError: one does not; the line names the file, and the command that repairs it.
    """
    found = [damages_in(folder) for folder in folders]
    damages = [damage for of_folder, _ in found for damage in of_folder]
    if damages:
        more = f" (and {len(damages) - 1} more)" if damages[1:] else ""
        raise RegattaError(f"{damages[0]}{more}; repair it by '{REPAIR}'")
    return sum((cost for _, cost in found), Cost())


def damages_in(folder: Path, fresh: bool = False) -> tuple[list[Damage], Cost]:
    """Everything in *folder* that is not as its manifest says, and what it cost to find out.

    Files that were added are damage, too, for they would be read as data; hidden ones would not.
    With *fresh*, files are read that look as they did when they were last read.
    """
    manifest = folder / MANIFEST
    expected = _read(manifest)
    if expected is None:
        lost = next((path for path in (folder, manifest) if not path.exists()), None)
        return [Damage(lost, "is missing") if lost else Damage(manifest, "is damaged")], Cost()
    wrong, cost = differing(((folder / name, digest) for name, digest in expected.items()), fresh=fresh)
    damages = [Damage(path, "is damaged" if found else "is missing") for path, found in wrong.items()]
    added = [name for name in _names(folder) if name not in expected and not _is_hidden(name)]
    return damages + [Damage(folder / name, "was added") for name in added], cost


def _read(manifest: Path) -> dict[str, str] | None:
    """Digests by path; None when the manifest is not, byte for byte, what was written."""
    try:
        content = manifest.read_bytes()
        digests: dict[str, str] = json.loads(content)["files"]
        return digests if content == _bytes(digests) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _bytes(digests: dict[str, str]) -> bytes:
    own = sha256(json.dumps(digests).encode()).hexdigest()
    return (json.dumps({"files": digests, "sha256": own}, indent=1) + "\n").encode()


def _names(folder: Path) -> list[str]:
    parents = ((Path(parent).relative_to(folder), files) for parent, _, files in os.walk(folder))
    return sorted((place / name).as_posix() for place, files in parents for name in files)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
