"""A step of the course without the seconds that its imports take: a fork of a process that has its libraries.

Such a process is a Python that has imported what steps import (tasks/libraries.py); a fork of it is what
`python -m tasks.train R` would be, at once. Only libraries come with it: all of this project is forgotten,
and imported anew from the folder that the step is run in.
"""

import atexit
import contextlib
import json
import logging
import os
import re
import runpy
import shutil
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

COMMAND_LINE = re.compile(
    r'exec env REGATTA_PARENT="\$PPID" PATH="\.venv/bin:\$PATH" python -m tasks\.(\w+)((?: [\w.@+-]+)*)'
)
"""How dvc.yaml runs a step. Whoever runs steps in another way has a shell do it, as ever."""
HEAVY = ("build", "train", "evaluate", "report", "track")
"""Steps, named as their stages are, that import what takes longer than to wait until it is loaded."""
PROJECT = ("flows", "models", "regatta", "tasks")


@dataclass(frozen=True)
class Step:
    """A command line of the course: `python -m tasks.NAME ARGUMENTS…`, in a folder."""

    name: str
    arguments: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]

    @property
    def is_heavy(self) -> bool:
        """Whether it imports libraries for seconds."""
        return self.name in HEAVY

    def order(self, parent: int) -> bytes:
        """What `be_ordered` understands, on one line; *parent* is the process that forks the step."""
        path = f".venv/bin{os.pathsep}{self.environment['PATH']}"
        environment = dict(self.environment) | {"REGATTA_PARENT": str(parent), "PATH": path}
        content = {"name": self.name, "arguments": self.arguments, "folder": self.folder}
        return json.dumps(content | {"environment": environment}).encode() + b"\n"


def step_in(command_line: str, folder: str, environment: Mapping[str, str]) -> Step | None:
    """The step that a shell in *folder* would run with this very Python; None where it is anything else."""
    match = COMMAND_LINE.fullmatch(command_line)
    path = os.pathsep.join([f"{folder}/.venv/bin", environment.get("PATH", "")])
    python = shutil.which("python", path=path)
    if match is None or python is None or not Path(python).parent.samefile(Path(sys.executable).parent):
        return None
    return Step(match[1], tuple(match[2].split()), folder, environment)


def be_ordered(order: bytes) -> NoReturn:
    """The whole life of a forked step. Nothing of it goes back to where it was forked."""
    code = 1
    try:
        code = _be(**json.loads(order)) if order else 0
    finally:
        os._exit(code)


def _be(name: str, arguments: list[str], folder: str, environment: Mapping[str, str]) -> int:
    """Run the step to its end; its exit code."""
    module, code = f"tasks.{name}", 0
    try:
        _prepare(folder, environment)
        sys.argv = [module, *arguments]
        sys.orig_argv = [sys.executable, "-m", *sys.argv]
        with contextlib.suppress(OSError):  # what `top` and `pgrep` call it
            Path("/proc/self/comm").write_text(module)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = _code_of(end)
    except BaseException:
        traceback.print_exc()
        code = 1
    _finish()
    return code


def _prepare(folder: str, environment: Mapping[str, str]) -> None:
    """As in a Python that was started there: its own environment, nothing of the project loaded.

    Where there is no terminal, DVC has put what takes colours out in the place of stdout and stderr.
    """
    getattr(atexit, "_clear")()  # noqa: B009 (as multiprocessing does: what was registered is the parent's)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    for name in [name for name in sys.modules if name.split(".")[0] in PROJECT]:
        del sys.modules[name]


def _code_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _finish() -> None:
    """What Python does at an end, but for tidying up memory that goes with the process."""
    getattr(threading, "_shutdown")()  # noqa: B009 (threads of pools are told to end, then all are waited for)
    getattr(atexit, "_run_exitfuncs")()  # noqa: B009
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
