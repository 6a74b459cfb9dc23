"""What computing asks of the process that it happens in."""

from typing import Literal

import torch

from regatta.allocation import keep_freed_memory
from regatta.engine.uncompiled import leave_compiler_out


def set_up_process(threads: int | Literal["auto"]) -> None:
    """Compute with so many *threads* from here on (auto: as torch has it); keep memory, and spare imports."""
    if threads != "auto":
        torch.set_num_threads(threads)
    keep_freed_memory()
    leave_compiler_out()
