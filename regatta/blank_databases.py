"""Prefect's and MLflow's databases with nothing in them yet: made once for each installation, then copied.

Each of the two takes an empty database through every migration that it ever had, seconds of a new project's
first course. `python -m regatta.blank_databases`, the last step of installing, has them do so beside their
packages; every project's databases begin as copies of what comes of it. Where there is none, because
another version was installed since or by other means, a program makes its database itself.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from regatta.errors import RegattaError, one_line_errors
from regatta.whole import beside, sweep, whole_file

Program = Literal["prefect", "mlflow"]
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def blank_database(program: Program) -> Path:
    """Where the installed version's blank database lies, if there is one."""
    return Path(sys.prefix) / "share" / "regatta" / f"{program}-{version(program)}.db"


def begin_with_blank(program: Program, database: Path) -> None:
    """Let *database*, a sqlite file of *program*'s that is not there yet, begin as a copy of the blank one.

    One that is there, or that somebody makes at this moment, is left alone.
    """
    if database.exists():
        return
    partial = beside(database)
    # Where it cannot be copied or linked, the program makes its own, or says why it cannot.
    with contextlib.suppress(OSError):
        database.parent.mkdir(parents=True, exist_ok=True)
        sweep(database.parent, re.escape(database.name))
        try:
            shutil.copyfile(blank_database(program), partial)
            os.link(partial, database)  # a rename would take the place of another's
        finally:
            partial.unlink(missing_ok=True)


def make_blank_databases() -> None:
    """Have both programs make theirs, at the same time.

    Raises:
        RegattaError: one of them failed; the line ends with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="blank-") as name:
        folder = Path(name)
        started: dict[Program, subprocess.Popen[str]] = {
            program: _started(command, folder) for program, command in _commands(folder).items()
        }
        outputs = [process.communicate()[0] for process in started.values()]
        for (program, process), output in zip(started.items(), outputs, strict=True):
            if process.returncode != 0:
                last = output.strip().rpartition("\n")[2]
                raise RegattaError(f"{program} cannot make its database: {last}")
            with whole_file(blank_database(program)) as partial:
                shutil.copyfile(folder / f"{program}.db", partial)


def _commands(folder: Path) -> dict[Program, tuple[str, ...]]:
    """What makes PROGRAM.db in *folder*, which is Prefect's home."""
    return {
        "prefect": ("prefect", "server", "database", "upgrade", "--yes"),
        "mlflow": ("mlflow", "db", "upgrade", f"sqlite:///{folder / 'mlflow.db'}"),
    }


def _started(command: tuple[str, ...], folder: Path) -> subprocess.Popen[str]:
    """At work in *folder*, out of reach of the user's settings: they may name a database of theirs."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=own | QUIET | {"PREFECT_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> None:
    """Command line, without arguments."""
    with one_line_errors():
        make_blank_databases()


if __name__ == "__main__":
    main()
