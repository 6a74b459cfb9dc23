"""The step of a DVC that was forked with the steps' libraries loaded (flows/stages/fork_server.py).

Such a DVC forks, while it has neither threads nor locks, a child that waits. When DVC comes to a command
line of the course's own, the child becomes that step, instead of a shell that starts a Python. It is DVC's
child as that Python is, and ends with it in the same way (regatta/orphans.py).
"""

import contextlib
import os
from collections.abc import Callable
from functools import partial

from flows.stages.step import Step, be_ordered


class Preforked:
    """A child of this process that becomes one step, or ends with this process."""

    def __init__(self) -> None:
        source, self._order = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._order)
            with os.fdopen(source, "rb") as file:
                order = file.read()
            be_ordered(order)
        os.close(source)
        self._waits = True

    def runner(self, step: Step) -> Callable[[], int] | None:
        """What runs *step*, if none was run before."""
        return partial(self._run, step) if self._waits else None

    def _run(self, step: Step) -> int:
        self._waits = False
        # A child that was killed reads nothing: how it ended says so.
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._order, "wb") as file:
            file.write(step.order(os.getpid()))
        return self._end()

    def close(self) -> None:
        """End it, if there was nothing to run."""
        if self._waits:
            os.close(self._order)
            self._end()

    def _end(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)


class Wish:
    """In the place of such a child where no libraries are loaded: tells who could load some of a step."""

    def __init__(self, want: int) -> None:
        self._want = want

    def runner(self, step: Step) -> None:
        """Wish that there were one."""
        os.write(self._want, b".")

    def close(self) -> None:
        """There is nothing to end."""
