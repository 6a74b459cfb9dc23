"""Checkpoints that are written while training goes on."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from regatta.engine.checkpoint import State, save


class Saver:
    """Writes checkpoints into *folder*, one at a time, in a thread of its own.

    Training stands still while its tensors are copied, and when one is due before the last one is written:
    writing and digesting them wait for a disk, and leave Python alone meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def begin(self, state: State, tensors: dict[str, Tensor]) -> None:
        """Begin to write *state* and *tensors* as they are now.

        Raises:
            OSError: the one before could not be written.
        """
        self.settle()
        copies = {name: _copy(tensor) for name, tensor in tensors.items()}
        self._writing = self._thread.submit(save, self._folder, state.model_copy(), copies)

    def settle(self) -> None:
        """Wait until what was begun is on the disk.

        Raises:
            OSError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Let what was begun come to its end, whatever that is."""
        self._thread.shutdown()


def _copy(tensor: Tensor) -> Tensor:
    """On the CPU, in memory of its own, laid out as a file holds it."""
    copied = torch.empty_like(tensor, device="cpu", memory_format=torch.contiguous_format)
    return copied.copy_(tensor.detach())
