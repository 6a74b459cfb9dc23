"""When Python looks for garbage: hardly ever while modules are imported, and not at all when a process ends.

Importing torch and Ray makes a million objects, which stay. Python's collector goes through those that there
are again and again meanwhile, a quarter of the time that importing takes, and at the end of the process
through all of them several times: another second.
"""

import atexit
import gc
import sys

USUAL = gc.get_threshold()
RARE = (300_000, 20, 100)
"""Objects more than before, and collections of younger ones, after which older ones are looked at."""


def collect_rarely() -> None:
    """For a process that imports much, or ends soon."""
    gc.set_threshold(*RARE)
    atexit.register(_leave_all)


def _leave_all() -> None:
    """But where torch's compiler was loaded: its library says of each object that is left that it leaked."""
    if "triton" in sys.modules:
        gc.unfreeze()
    else:
        gc.freeze()


def collect_as_usual() -> None:
    """From now on, for work that may go on for days; what there is already is looked at no more."""
    gc.freeze()
    gc.set_threshold(*USUAL)
