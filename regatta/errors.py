"""Faults that a person can mend: one line that says what, where, and what to do about it."""

import difflib
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager


class RegattaError(Exception):
    """Bad input or a bad place to work in. The message is one line, meant for a person."""


class UnreadableError(RegattaError):
    """One sample of a data set cannot be read; the message is the reason, without the sample's name."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """End a sentence about an unknown *name*: the nearest valid one, or all that are valid."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"valid are: {', '.join(names)}" if names else "none are valid here"


@contextmanager
def one_line_errors() -> Generator[None, None, None]:
    """Turn what a person can mend into one line on stderr and exit code 2; bugs keep their traceback.

    An OSError (disk full, no permission) names its file and counts as mendable.
    """
    try:
        yield
    except RegattaError as fault:
        sys.exit(_say(str(fault)))
    except OSError as fault:
        place = f" '{fault.filename}'" if fault.filename else ""
        sys.exit(_say(f"{fault.strerror or fault}{place}: free or allow it, then run the command again"))


def _say(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return 2
