"""Plain progress lines on stdout, about one a second: what the live board and a task's log show."""

import time
from collections.abc import Callable


def progress(label: str, total: int, unit: str, scale: float = 1.0) -> Callable[[int], None]:
    """A function to call with the number of units done since its last call.

    It prints `LABEL 1200/60000 images 3400/s left 0:17` at most once a second, and at the end.
    *scale* divides the numbers for display (bytes as MB). A *total* of 0 means unknown.
    """
    began_s = printed_s = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, printed_s
        done += count
        now_s = time.monotonic()
        if now_s - printed_s >= 1 or done == total:
            printed_s = now_s
            print(_line(label, done / scale, total / scale, unit, now_s - began_s), flush=True)

    return advance


def _line(label: str, done: float, total: float, unit: str, elapsed_s: float) -> str:
    per_s = done / max(elapsed_s, 1e-3)
    shown = f"{label} {done:.0f}/{total:.0f} {unit} {per_s:.0f}/s" if total else f"{label} {done:.0f} {unit}"
    left_s = round((total - done) / per_s) if total and per_s else 0
    return f"{shown} left {left_s // 60}:{left_s % 60:02d}" if total else shown
