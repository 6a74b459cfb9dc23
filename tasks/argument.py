"""The command line of a step: one name, of a data set, a run or a problem."""

import sys
from collections.abc import Sequence

from regatta.errors import RegattaError


def only_argument(argv: Sequence[str] | None, usage: str) -> str:
    """The one argument of *argv*, or of this process where that is None.

    Raises:
        RegattaError: it is none, or there are others; the line is *usage*.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise RegattaError(f"usage: {usage}")
    return arguments[0]
