"""Tensors into safetensors files; a place that cannot be written is an OSError, as it is everywhere else."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file, save_model
from torch import Tensor, nn


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write *tensors*, of any layout, to *path*.

    Raises:
        OSError: it cannot be written.
    """
    # Clones: safetensors refuses tensors that share memory or are laid out channels last.
    whole = {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    with _as_os_error(path):
        save_file(whole, path)


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
