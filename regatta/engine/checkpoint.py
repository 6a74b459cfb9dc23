"""Resumable state as files that are whole or not there: safetensors for numbers, JSON for the rest.

runs/KEY/checkpoints/0000001234/
    state.safetensors     network.*, average.*, optimiser.N.*
    state.json            State
    .manifest.json        digests of both
"""

import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.optim import Optimizer

from regatta.engine.tensor_files import write_tensors
from regatta.manifest import damages_in, write_manifest
from regatta.whole import sweep, whole_folder

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
    best_digest: str = ""
    """Of the best weights, which lie beside the checkpoints, as they were written."""
    journal_position: int = 0
    """Bytes of the journal that belong to this state."""
    samples: int = 0
    """Samples learnt from, counted as often as they were seen."""
    train_s: float = 0.0
    """Seconds spent in training steps."""
    waited_s: float = 0.0
    """Seconds of these that steps waited for data."""


def save(folder: Path, state: State, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint beside the others, then rename it, then drop all but the newest KEPT.

    tensors: on the CPU, each contiguous in memory of its own.

    Raises:
        OSError: it cannot be written (disk full, read-only); those before it stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with whole_folder(folder / f"{state.step:010d}-{state.validated:06d}") as partial:
        write_tensors(tensors, partial / "state.safetensors")
        (partial / "state.json").write_text(state.model_dump_json(), encoding="utf-8")
        write_manifest(partial)
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old)


def latest(folder: Path) -> tuple[State, dict[str, Tensor]] | None:
    """The newest checkpoint that is whole; one that is torn or altered is passed over and named."""
    for path in _newest_first(folder):
        try:
            damages, _ = damages_in(path, fresh=True)
            if not damages:
                state = State.model_validate_json((path / "state.json").read_bytes())
                return state, load_file(path / "state.safetensors")
            fault = damages[0]
        except (OSError, ValueError, SafetensorError) as unreadable:
            fault = f"{path}: {unreadable}"
        print(f"checkpoint {fault}; going on from the one before, else from the start", flush=True)
    return None


def kept_states(folder: Path) -> list[State]:
    """States of the checkpoints that are kept, newest first; of those that can be read."""
    states: list[State] = []
    for path in _newest_first(folder):
        with suppress(OSError, ValueError):
            states.append(State.model_validate_json((path / "state.json").read_bytes()))
    return states


def newest_name(folder: Path) -> str | None:
    """What the newest checkpoint is called: another name means that training got further."""
    return next((path.name for path in _newest_first(folder)), None)


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
    for key, value in under("optimiser", tensors).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def under(room: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose name begins with `room.`, without it."""
    return {k.removeprefix(f"{room}."): v for k, v in tensors.items() if k.startswith(f"{room}.")}


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*"), reverse=True)
