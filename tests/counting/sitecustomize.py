"""Writes what each Python process of a course did into COUNT_INTO, one JSON file for each process.

On PYTHONPATH of the course that `tests/test_counted.py` runs; Python imports it as it starts.
"""

import atexit
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

started: list[str] = []
"""Programs that this process started."""


def notice(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.posix_spawn", "os.system"):
        started.append(str(arguments[0]))
    elif event in ("os.fork", "os.forkpty"):
        started.append("fork")


def write() -> None:
    told = {
        "command": sys.orig_argv[1:],
        "started": started,
        "modules": sorted(sys.modules),
        "minor_faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt,
    }
    (Path(os.environ["COUNT_INTO"]) / f"{os.getpid()}.json").write_text(json.dumps(told))


if "COUNT_INTO" in os.environ:
    sys.addaudithook(notice)
    atexit.register(write)
