"""Tensors into safetensors files; a place that cannot be written is an OSError, as it is everywhere else."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file, save_model
from torch import Tensor, nn


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write *tensors*, each contiguous in memory of its own, to *path*.

    Raises:
        OSError: it cannot be written.
    """
    with _as_os_error(path):
        save_file(tensors, path)


def write_weights(module: nn.Module, path: Path) -> None:
    """Write parameters and buffers of *module* to *path*, each tensor once.

    Raises:
        OSError: it cannot be written.
    """
    with _as_os_error(path):
        save_model(module, str(path))


@contextmanager
def _as_os_error(path: Path) -> Generator[None, None, None]:
    """Safetensors tells what the system said only in words: `… (os error 28)`."""
    try:
        yield
    except SafetensorError as fault:
        number = re.search(r"\(os error (\d+)\)", str(fault))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
