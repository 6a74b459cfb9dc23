"""No stage outlives the DVC that runs it.

`kill -9` of `dvc repro` leaves its command running: an orphan that would go on writing outputs while the
next start makes the same ones. DVC offers no hook for this, so each stage watches the process it was
started by.
"""

import os
import threading
import time

PARENT = "REGATTA_PARENT"
"""Process id of the DVC that runs us. dvc.yaml sets it from the shell's $PPID: a shell that was started a
moment before DVC died still knows whose child it was."""
LOOK_EVERY_S = 0.5


def end_with_parent() -> None:
    """End this process as soon as the one named by `REGATTA_PARENT` is no longer its parent.

    Does nothing without that variable: a step started by hand, with `nohup` perhaps, is nobody's stage.
    Nothing is tidied up: every output is written beside its place and renamed, so that what an ended
    stage leaves is like what a killed one leaves.
    """
    # Taken out of the environment: Ray's workers import the step as well, and are not DVC's children.
    parent = os.environ.pop(PARENT, "")
    if parent.isdigit():
        _end_unless_child_of(int(parent))
        threading.Thread(target=_watch, args=(int(parent),), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        time.sleep(LOOK_EVERY_S)
        _end_unless_child_of(parent)


def _end_unless_child_of(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)
