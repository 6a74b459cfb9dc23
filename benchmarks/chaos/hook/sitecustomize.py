"""Ends its own process by SIGKILL at the moment that CHAOS_KILL names.

Laid into a trial's project, whose folder is on PYTHONPATH: Python imports it at the start of every process
there. Nothing of the product knows of it. CHAOS_KILL is JSON:

    {"process": "tasks.train", "event": "os.rename", "path": "checkpoints/", "nth": 3, "mark": "/…/killed"}

The process is one with that argument on its command line, which a step that was forked has too. It dies when
the event (one of Python's audit events, or `write`: a half-written piece, or `sql`: a statement was executed)
happens for the nth time on a matching path. The mark is made first, and only one process of a trial can make
it.
"""

import io
import json
import os
import re
import signal
import sys
from typing import Any


class Moment:
    """Counts what happens, and ends the process when it is time."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.process: str = plan["process"]
        self.event: str = plan["event"]
        self.path = re.compile(plan["path"])
        self.left: int = plan["nth"]
        self.mark: str = plan["mark"]

    def comes(self, path: str) -> bool:
        """Whether this is it."""
        if self.left > 0 and self.process in sys.orig_argv and self.path.search(path):
            self.left -= 1
            return self.left == 0
        return False

    def die(self) -> None:
        """End here and now, unless the trial has had its kill."""
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class TornFile:
    """A file whose fatal write stops half-way."""

    def __init__(self, file: Any, path: str, moment: Moment) -> None:
        self._file, self._path, self._moment = file, path, moment

    def write(self, data: Any) -> Any:
        if self._moment.comes(self._path):
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            self._moment.die()
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "TornFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def watch_events(moment: Moment) -> None:
    """Die before the operation: audit events come just before what they tell of."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == moment.event and moment.comes(str(arguments[0])):
            moment.die()

    sys.addaudithook(hook)


def watch_writes(moment: Moment) -> None:
    plain = io.open

    def torn(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        opened = plain(file, mode, *arguments, **named)
        writes = set(mode) & set("wax+") and moment.path.search(str(file))
        return TornFile(opened, str(file), moment) if writes else opened

    io.open = torn  # pathlib's open


def watch_statements(moment: Moment) -> None:
    """SQL, through SQLAlchemy, which is there by the time that somebody connects to a database."""

    def executed(*_: object) -> None:
        if moment.comes("sql"):
            moment.die()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal connected
        if event == "sqlite3.connect" and not connected:
            connected = True
            from sqlalchemy import event as events
            from sqlalchemy.engine import Engine

            events.listen(Engine, "after_cursor_execute", executed)

    connected = False
    sys.addaudithook(hook)


if "CHAOS_KILL" in os.environ:
    plan = json.loads(os.environ["CHAOS_KILL"])
    {"write": watch_writes, "sql": watch_statements}.get(plan["event"], watch_events)(Moment(plan))
