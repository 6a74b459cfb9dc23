"""Faults that a person can mend: one line that says what, where, and what to do about it."""

import difflib
import errno
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager

REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "allow writing there"),
    errno.EFBIG: "allow larger files there",
}


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
    """Turn what a person can mend into one line on stderr and exit code 2; bugs keep their traceback."""
    try:
        yield
    except (RegattaError, OSError) as fault:
        sys.exit(_say(line_of(fault)))
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr, flush=True)
        sys.exit(130)


def line_of(fault: RegattaError | OSError) -> str:
    """What to say about *fault*; an OSError (disk full, no permission) names its file."""
    if isinstance(fault, RegattaError):
        return str(fault)
    # Of a copy the second name is where it goes to.
    name = fault.filename2 or fault.filename
    remedy = REMEDIES.get(fault.errno or 0, "free or allow it")
    place = f" '{name}'" if name else ""
    return f"{fault.strerror or fault}{place}: {remedy}, then run the command again; what is finished is kept"


def _say(message: str) -> int:
    print(f"error: {plain(' '.join(message.split()))}", file=sys.stderr, flush=True)
    return 2


def plain(text: str) -> str:
    """*text* without what could steer a terminal, or cannot be written: names of files may hold anything."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
