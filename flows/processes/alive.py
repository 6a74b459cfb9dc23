"""Whether a process that was written down is still the same one."""

import math

import psutil

CLOCK_TOLERANCE_S = 2.0
"""A process's beginning is told in ticks since the machine's, and the clock may have been put right since."""


def is_alive(pid: int, since_s: float = math.inf) -> bool:
    """Whether process *pid* is there; one that began after *since_s* (Unix time) only has the same number."""
    try:
        process = psutil.Process(pid)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return not is_dead and process.create_time() <= since_s + CLOCK_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
