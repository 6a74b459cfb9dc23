"""How this process gets memory for its tensors."""

import ctypes
import platform

# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let freed tensors' memory stay with this process, for the next step asks for just as much.

    glibc gives large blocks back to the system at once, and each step then waits for the system to clear
    page after page again. One arena, for those of other threads give back whatever is set.
    Elsewhere than with glibc nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for parameter, value in (
        (M_ARENA_MAX, 1),
        (M_TRIM_THRESHOLD, NEVER),
        (M_MMAP_MAX, 0),
    ):
        libc.mallopt(parameter, value)
