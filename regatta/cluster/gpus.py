"""Whether torch can compute where it is meant to: GPUs, their driver, and what connects them."""

import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.cuda import nccl

from regatta.findings import Finding, fault, fine, note

DRIVER_TIMEOUT_S = 20.0
LEAST_FREE_GB = 1.0
TOLERANCE = 1e-2
"""Of a product of numbers around one; the tensor cores' formats are coarse."""


def gpus() -> Iterator[Finding]:
    """Every GPU that the driver lists computes, or the reason why torch does not use it."""
    driver, complaint = _driver()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if complaint:
        yield fault(f"nvidia-smi: {complaint}", "load the NVIDIA driver again, or restart the machine")
    if usable:
        yield fine(f"{usable} GPUs, driver {driver}, torch {torch.__version__} for CUDA {torch.version.cuda}")
        for index in range(usable):
            yield from _computes(torch.device("cuda", index))
        yield from _nccl()
    elif driver:
        yield from _unused(driver, "; ".join(" ".join(str(warning.message).split()) for warning in said))
    elif not complaint:
        yield fine(f"no GPU: training is on the CPU, torch {torch.__version__}")


def _driver() -> tuple[str, str]:
    """Version of NVIDIA's driver, and its complaint; both empty where there is none."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=DRIVER_TIMEOUT_S)
    except FileNotFoundError:
        # A container may have the driver without its programs.
        loaded = Path("/sys/module/nvidia/version")
        return (loaded.read_text(encoding="utf-8").strip(), "") if loaded.exists() else ("", "")
    except subprocess.TimeoutExpired:
        return "", f"no answer after {DRIVER_TIMEOUT_S:.0f} s"
    lines = asked.stdout.strip().splitlines() or ["exit code " + str(asked.returncode)]
    return (lines[0], "") if asked.returncode == 0 else ("", lines[0])


def _unused(driver: str, reason: str) -> Iterator[Finding]:
    """There is a driver, but torch sees no GPU."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        text = f"there is an NVIDIA driver ({driver}), but torch {torch.__version__} was built without CUDA"
        yield fault(text, "rm -r .venv && make .venv/installed, from an index that has torch for CUDA")
    elif hidden is not None:
        yield note(f"CUDA_VISIBLE_DEVICES='{hidden}' hides the GPUs", "unset CUDA_VISIBLE_DEVICES")
    else:
        because = f": {reason}" if reason else ""
        text = f"torch for CUDA {torch.version.cuda} sees no GPU with driver {driver}{because}"
        yield fault(text, f"install a driver for CUDA {torch.version.cuda} or later")


def _computes(device: torch.device) -> Iterator[Finding]:
    """A product on the GPU is that of the CPU; it fails where torch has no code for this kind of GPU."""
    place = f"GPU {device.index}"
    try:
        name, (free_bytes, all_bytes) = torch.cuda.get_device_name(device), torch.cuda.mem_get_info(device)
        numbers = torch.rand(64, 64, generator=torch.Generator().manual_seed(1))
        product = (numbers.to(device) @ numbers.to(device)).cpu()
    except RuntimeError as reason:
        yield fault(
            f"{place} does not compute: {str(reason).splitlines()[0]}", "nvidia-smi; end what holds it"
        )
        return
    text = f"{place}: {name}, {free_bytes / 1e9:.1f} of {all_bytes / 1e9:.1f} GB free"
    if not torch.allclose(product, numbers @ numbers, rtol=TOLERANCE):
        yield fault(f"{text}: it computes wrongly", f"CUDA_VISIBLE_DEVICES without {device.index}")
    elif free_bytes / 1e9 < LEAST_FREE_GB:
        yield fault(text, "nvidia-smi shows what holds it")
    else:
        yield fine(text)


def _nccl() -> Iterator[Finding]:
    """What workers on several GPUs speak."""
    if torch.distributed.is_available() and torch.distributed.is_nccl_available():
        yield fine(f"NCCL {'.'.join(map(str, nccl.version()))}")
    else:
        yield fault(
            f"torch {torch.__version__} has no NCCL: GPUs cannot work together", "install it with CUDA"
        )


CHECKS = (gpus,)
