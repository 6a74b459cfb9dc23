"""Resumable state as files that are whole or not there: safetensors for numbers, JSON for the rest.

runs/KEY/checkpoints/0000001234/
    state.safetensors     network.*, average.*, optimiser.N.*
    state.json            State, and the checksum of state.safetensors
"""

import hashlib
import os
import shutil
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

KEPT = 2


class State(BaseModel):
    """Where a run stands: the one value that changes while it trains.

    With the tensors beside it, it is all that going on needs: data order, rates and random numbers
    are functions of the step.
    """

    model_config = ConfigDict(extra="forbid")

    step: int = 0
    """Optimiser steps done."""
    validated: int = 0
    """Epochs whose validation is done."""
    best_epoch: int = 0
    best_score: float = -1.0
    """Below every score, so that the first validation is a best one."""
    journal_position: int = 0
    """Bytes of the journal that belong to this state."""
    samples: int = 0
    """Samples learnt from, counted as often as they were seen."""
    train_s: float = 0.0
    """Seconds spent in training steps."""
    waited_s: float = 0.0
    """Seconds of these that steps waited for data."""
    checksum: str = ""


def save(folder: Path, state: State, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint beside the others, then rename it, then drop all but the newest KEPT."""
    target = folder / f"{state.step:010d}-{state.validated:06d}"
    partial = folder / f".{target.name}.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Clones: safetensors refuses tensors that share memory or are laid out channels last.
    whole = {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    save_file(whole, partial / "state.safetensors")
    checked = state.model_copy(update={"checksum": _checksum(partial / "state.safetensors")})
    (partial / "state.json").write_text(checked.model_dump_json(), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old)


def latest(folder: Path) -> tuple[State, dict[str, Tensor]] | None:
    """The newest checkpoint that is whole; one that is torn or altered is passed over and named."""
    for path in _newest_first(folder):
        try:
            state = State.model_validate_json((path / "state.json").read_bytes())
            if state.checksum != _checksum(path / "state.safetensors"):
                raise ValueError("its checksum does not match")
            return state, load_file(path / "state.safetensors")
        except (OSError, ValueError) as fault:
            print(f"checkpoint {path.name} is not whole ({fault}); trying the one before", flush=True)
    return None


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`; groups and rates come from the recipe."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        room, _, rest = key.partition(".")
        if room == "optimiser":
            index, _, name = rest.partition(".")
            state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def under(room: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose name begins with `room.`, without it."""
    return {k.removeprefix(f"{room}."): v for k, v in tensors.items() if k.startswith(f"{room}.")}


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*"), reverse=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
