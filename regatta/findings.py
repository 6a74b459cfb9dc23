"""What an examination finds: one line for a person, its remedy and, where that is safe, its mending.

A check is a plain function that yields findings and changes nothing; `examine` runs some of them as a
process of their own, which prints one JSON line for each finding. Standard library only: whoever looks
for what is broken must not break on it.
"""

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

Severity = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Told:
    """A finding as it is told to a person."""

    severity: Severity
    text: str
    remedy: str = ""
    """A command or an action that ends it, in one line; empty when all is well."""
    is_mendable: bool = False
    is_mended: bool = False


@dataclass(frozen=True)
class Finding:
    """A finding, and what would mend it: nothing is changed until somebody calls `mend`."""

    severity: Severity
    text: str
    remedy: str = ""
    mend: Callable[[], None] | None = None


Check = Callable[[], Iterable[Finding]]


def fine(text: str) -> Finding:
    """All is well."""
    return Finding("ok", text)


def note(text: str, remedy: str = "", mend: Callable[[], None] | None = None) -> Finding:
    """Worth knowing, and in nobody's way."""
    return Finding("note", text, remedy, mend)


def fault(text: str, remedy: str, mend: Callable[[], None] | None = None) -> Finding:
    """In the way of work, or will be."""
    return Finding("fault", text, remedy, mend)


def examine(checks: Sequence[Check], fix: bool) -> None:
    """Run *checks* and print what they find; with *fix*, mend what they know how to mend."""
    for check in checks:
        for finding in _found(check):
            print(json.dumps(asdict(_told(finding, fix))), flush=True)


def read_told(line: str) -> Told | None:
    """The finding that *line* of an examination's output tells; None for any other line."""
    if not line.startswith('{"severity": '):
        return None
    return Told(**json.loads(line))


def _found(check: Check) -> Iterator[Finding]:
    """A check that breaks has found something, too."""
    try:
        yield from check()
    except Exception as broken:
        what = getattr(check, "__name__", "a check").replace("_", " ")
        yield fault(
            f"{what}: could not be looked at to the end: {said(broken)}", "mend that, then look again"
        )


def _told(finding: Finding, fix: bool) -> Told:
    told = Told(finding.severity, finding.text, finding.remedy, finding.mend is not None)
    if not fix or finding.mend is None:
        return told
    try:
        finding.mend()
    except Exception as broken:
        return replace(told, text=f"{finding.text} (mending failed: {said(broken)})")
    return replace(told, is_mended=True)


def said(fault: BaseException) -> str:
    """What an exception says, in one line."""
    return " ".join(f"{type(fault).__name__}: {fault}".split())


def looks_below(path: Path) -> list[os.stat_result]:
    """How every file at or below *path* looks; others may be at work there, so what vanishes is left out."""
    files = [path, *(Path(folder, name) for folder, _, names in os.walk(path) for name in names)]
    found: list[os.stat_result] = []
    for file in files:
        with suppress(OSError):
            found.append(file.lstat())
    return [look for look in found if not stat.S_ISDIR(look.st_mode)]


def size_of(looks: Iterable[os.stat_result]) -> str:
    """What files take up, for a person."""
    size_bytes = sum(look.st_size for look in looks)
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"
