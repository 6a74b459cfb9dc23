"""DVC's graph, its settings, and the locks that a killed DVC leaves behind."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil
from dvc.exceptions import DvcException
from dvc.lock import make_lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA
from voluptuous import Invalid

from flows.processes.alive import is_alive
from regatta.findings import Finding, examine, fault, fine

BLOCKED = "every DVC command is refused until it is gone"


def graph() -> Iterator[Finding]:
    """dvc.yaml and all it refers to can be read."""
    try:
        with Repo() as repo:
            stages = len(repo.index.graph)
            sends_nothing = not repo.config["core"].get("analytics", True)
    except DvcException as reason:
        yield fault(f"dvc.yaml: {' '.join(str(reason).split())}", "mend dvc.yaml, params.yaml or .dvc/config")
        return
    yield fine(f"dvc.yaml: {stages} stages")
    if sends_nothing:
        yield fine("DVC sends no usage statistics")
    else:
        yield fault("DVC sends usage statistics", "dvc config core.analytics false")


def locks() -> Iterator[Finding]:
    """The table of who reads and writes what: a kill can leave it torn, or naming the dead for ever.

    DVC's other locks end with their process.
    """
    with Repo() as repo:
        table = Path(cast(str, repo.tmp_dir)) / RWLOCK_FILE
    try:
        stale = _stale_or_being_written(table)
    except (ValueError, Invalid):
        others = ", ".join(str(process.pid) for process in _dvc_at_work())
        mend = None if others else partial(_remove_torn, table)
        remedy = f"wait for DVC (process {others}), then " if others else ""
        yield fault(f"{table} is torn: {BLOCKED}", f"{remedy}rm {table}", mend)
        return
    for entry in stale:
        text = f"{table} names process {entry['pid']} ({entry['cmd']}), which is gone"
        yield fault(text, f"rm {table}, while no DVC is at work", partial(_remove_entries, table))
    if not stale:
        yield fine("no lock of a DVC that is gone")


def _stale_or_being_written(table: Path) -> list[dict[str, Any]]:
    try:
        return _stale(table)
    except (ValueError, Invalid):
        # Torn, or being written at this moment: while we hold the guard, nobody writes.
        with _guard(table):
            return _stale(table)


def _guard(table: Path) -> Any:
    """What DVC itself holds while it changes the table."""
    return make_lock(str(table.with_name(RWLOCK_LOCK)), tmp_dir=str(table.parent))


def _stale(table: Path) -> list[dict[str, Any]]:
    """Entries of processes that are gone; a process younger than the table only has the same number.

    Raises:
        ValueError, Invalid: the table is torn.
    """
    if not table.exists():
        return []
    written_s = table.stat().st_mtime
    entries = {entry["pid"]: entry for _, _, entry in _entries(_read(table))}
    return [entry for pid, entry in entries.items() if not is_alive(pid, written_s)]


def _read(table: Path) -> dict[str, Any]:
    return cast(dict[str, Any], SCHEMA(json.loads(table.read_text(encoding="utf-8"))))


def _entries(content: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(mode, path, {pid, cmd}) of each."""
    for path, writer in content["write"].items():
        yield "write", path, writer
    for path, readers in content["read"].items():
        yield from (("read", path, reader) for reader in readers)


def _dvc_at_work() -> list[psutil.Process]:
    """Processes in this folder that may hold entries of the table: DVC itself, and our flows."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            is_dvc = "dvc" in words or "flows." in words
            if is_dvc and "flows.doctor" not in words and "flows.examining" not in words:
                found += [process] if Path(process.cwd()) == Path.cwd() else []
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _remove_torn(table: Path) -> None:
    """Remove the table unless somebody has made it whole meanwhile."""
    with _guard(table):
        try:
            _stale(table)
        except (ValueError, Invalid):
            table.unlink(missing_ok=True)


def _remove_entries(table: Path) -> None:
    """Take the entries of processes that are gone out of the table, under DVC's own guard."""
    with _guard(table):
        gone = [entry["pid"] for entry in _stale(table)]
        kept: dict[str, Any] = {"write": {}, "read": {}}
        for mode, path, entry in _entries(_read(table)):
            if entry["pid"] in gone:
                continue
            if mode == "write":
                kept[mode][path] = entry
            else:
                kept[mode].setdefault(path, []).append(entry)
        table.write_text(json.dumps(kept), encoding="utf-8")


CHECKS = (graph, locks)

if __name__ == "__main__":
    examine(CHECKS, fix="--fix" in sys.argv)
