"""A digest for each file of a folder that one step hands to the next: its identity, and how damage is seen.

    FOLDER/.manifest.json    {"files": {path in the folder: digest}, "digest": of all these}

Its name is hidden, so that nobody takes it for one of a data set's own files.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xxhash import xxh3_128

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
    if MANIFEST in names:
        raise RegattaError(
            f"'{MANIFEST}': the data hold a file of this name, which is kept for ours; rename it"
        )
    with (folder / MANIFEST).open("wb") as file:
        file.writelines(_text((name, digest_of_file(f"{folder}/{name}")) for name in names))


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
    lost = next((path for path in (folder, manifest) if not path.exists()), None)
    if lost or not _is_whole(manifest):
        return [Damage(lost, "is missing") if lost else Damage(manifest, "is damaged")], Cost()
    expected = ((f"{folder}/{name}", digest) for name, digest in _entries(manifest))
    wrong, cost = differing(expected, fresh=fresh)
    damages = [Damage(Path(path), "is damaged" if found else "is missing") for path, found in wrong.items()]
    there = cost.files - sum(found is None for found in wrong.values())
    if sum(1 for _ in _walk(folder)) > there + 1:  # only then are all names kept in memory
        known = {name for name, _ in _entries(manifest)}
        added = [name for name in _names(folder) if name not in known and not _is_hidden(name)]
        damages += [Damage(folder / name, "was added") for name in added]
    return damages, cost


def _is_whole(manifest: Path) -> bool:
    """Whether it is, byte for byte, what was written."""
    again = xxh3_128()
    try:
        for part in _text(_entries(manifest)):
            again.update(part)
    except ValueError:
        return False
    return again.hexdigest() == digest_of_file(manifest)


def _entries(manifest: Path) -> Iterator[tuple[str, str]]:
    """Name and digest of each file, a line at a time: a set of a million files has 200 MB of them.

    Raises:
        ValueError: a line is damaged.
    """
    with manifest.open("rb") as lines:
        for line in lines:
            if line.startswith(b"  "):
                ((name, digest),) = json.loads(b"{" + line.strip().removesuffix(b",") + b"}").items()
                yield name, digest


def _text(entries: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """The manifest, in parts."""
    own, comma = xxh3_128(b"{"), b""
    yield b'{\n "files": {'
    for name, digest in entries:
        entry = f"{json.dumps(name)}: {json.dumps(digest)}".encode()
        own.update(b", " + entry if comma else entry)
        yield comma + b"\n  " + entry
        comma = b","
    own.update(b"}")
    yield b"\n }" if comma else b"}"
    yield f',\n "digest": "{own.hexdigest()}"\n}}\n'.encode()


def _names(folder: Path) -> list[str]:
    return sorted(_walk(folder))


def _walk(folder: Path | str, inside: str = "") -> Iterator[str]:
    """Names of all files below *folder*, the manifest's among them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{inside}{entry.name}/")
            elif not entry.is_dir():
                yield f"{inside}{entry.name}"


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
