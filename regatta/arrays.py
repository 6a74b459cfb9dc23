"""Arrays in .npy files, mapped into memory: never unpickled, refused in one line when not whole."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regatta.errors import RegattaError


def open_array(path: Path, stage: str) -> NDArray[Any]:
    """The array in *path*, copied page by page when somebody writes to it; the file stays as it is.

    Args:
        stage: what makes the file, for the error line.

    Raises:
        RegattaError: it is not there, torn, or no .npy file of plain numbers (a pickle, say).
    """
    # Not by numpy.load, which would look for a pickle or a zip in what has no .npy header.
    try:
        return np.lib.format.open_memmap(path, mode="c")
    except (FileNotFoundError, ValueError) as fault:
        reason = "no such file" if isinstance(fault, FileNotFoundError) else f"not a whole array ({fault})"
        raise RegattaError(f"{path}: {reason}; make it again with 'dvc repro --force {stage}'") from None
