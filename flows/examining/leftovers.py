"""What killed processes left behind, and workspaces that take up room."""

import os
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flows.processes.alive import is_alive
from regatta.findings import Finding, examine, fine, looks_below, note, size_of
from regatta.settings.home import home
from regatta.whole import sweep

UNFINISHED = re.compile(r"\..+\.(partial|former)-\d+")
"""Names that `regatta.whole` writes under; a killed process cannot remove its own."""
NOT_OURS = {".venv", ".git", "__pycache__"}


def unfinished_outputs() -> Iterator[Finding]:
    """Outputs that were being written when their process was killed; the next run of it would remove them."""
    dead = [path for path in _unfinished() if not is_alive(int(path.name.rpartition("-")[2]))]
    for path in dead:
        text = f"{path}: left by a process that is gone ({size_of(looks_below(path))})"
        yield note(text, f"rm -r {path}", partial(sweep, path.parent))
    if not dead:
        yield fine("no unfinished outputs of processes that are gone")


def workspaces() -> Iterator[Finding]:
    """Results of runs with other settings: only their owner knows whether they are still wanted."""
    folder = home() / "workspaces"
    kept = [path for path in folder.glob("[!.]*") if path.is_dir()] if folder.is_dir() else []
    if kept:
        text = f"{folder}: {len(kept)} workspaces with {size_of(looks_below(folder))}"
        yield note(text, "remove those whose results you want no more")
    else:
        yield fine("no workspaces of runs with other settings")


def _unfinished() -> Iterator[Path]:
    for top in dict.fromkeys((Path.cwd(), home())):
        for folder, folders, files in os.walk(top):
            yield from (Path(folder, name) for name in (*folders, *files) if UNFINISHED.fullmatch(name))
            # The home lies in the project or not; it is walked once, and the cache is DVC's own.
            folders[:] = [name for name in folders if _is_ours(Path(folder, name))]


def _is_ours(path: Path) -> bool:
    is_other = path.name in NOT_OURS or UNFINISHED.fullmatch(path.name) or path == home()
    return not is_other and path.parts[-2:] != (".dvc", "cache")


CHECKS = (unfinished_outputs, workspaces)

if __name__ == "__main__":
    examine(CHECKS, fix="--fix" in sys.argv)
