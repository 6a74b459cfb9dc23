"""Python, the packages of the lock, and the programs that are called by name."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from regatta.findings import Finding, examine, fault, fine, note

OLDEST_PYTHON = (3, 11)
LOCK = Path("requirements.lock")
REINSTALL = "rm -r .venv && make .venv/installed"
PROGRAM_TIMEOUT_S = 10.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def python() -> Iterator[Finding]:
    found = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        yield fine(found)
    else:
        yield fault(f"{found} is too old", "rm -r .venv && make PYTHON=python3.12 .venv/installed")


def packages() -> Iterator[Finding]:
    """Every package of the lock that this machine needs, at the version that stands there."""
    from packaging.requirements import Requirement

    if not LOCK.exists():
        yield fault(f"{LOCK} is not there", "run the doctor in the project's folder, or 'git checkout' it")
        return
    pins = re.findall(r"^([a-zA-Z0-9][^\\\n]*==[^\\\n]*)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [pin for pin in map(Requirement, pins) if pin.marker is None or pin.marker.evaluate()]
    wrong = [line for pin in wanted if (line := _difference(pin.name, str(pin.specifier)[2:]))]
    if wrong:
        yield fault(f"not as in {LOCK}: {', '.join(wrong)}", REINSTALL)
    else:
        yield fine(f"{len(wanted)} packages as in {LOCK}")


def _difference(name: str, wanted: str) -> str:
    """What is wrong with a package; nothing when it is as the lock wants it."""
    try:
        # What follows a + names a build (2.10.0+cpu), of which the lock says nothing.
        found = version(name).partition("+")[0]
    except PackageNotFoundError:
        return f"{name} is missing"
    return "" if found == wanted else f"{name} {found} instead of {wanted}"


def git() -> Iterator[Finding]:
    try:
        asked = subprocess.run(
            ["git", "--version"], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        yield fault("git does not answer: what was trained from which commit cannot be told", "install git")
    else:
        yield fine(asked.stdout.strip())


def browser() -> Iterator[Finding]:
    """Only a test of the report opens one."""
    own = Path.home() / ".cache" / "ms-playwright"
    if any(map(shutil.which, BROWSERS)) or any(own.glob("chromium*")):
        yield fine("a browser for the report's test")
    else:
        yield note("no browser: the report's test cannot open its page", "make browser")


CHECKS = (python, packages, git, browser)

if __name__ == "__main__":
    examine(CHECKS, fix="--fix" in sys.argv)
