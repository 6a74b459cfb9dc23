"""Weights of a network on disk: safetensors, each tensor once, the same bytes for the same weights."""

import os
from pathlib import Path

from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.family import Family, InputSpec


def save_weights(module: nn.Module, path: Path) -> None:
    """Write parameters and buffers of *module* to *path*; a reader sees the old file or the new one.

    Raises:
        OSError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        save_file({name: tensor.contiguous().cpu() for name, tensor in _stored(module).items()}, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill *module* with the weights at *path*, or leave it as it is and raise.

    Raises:
        ValueError: one line; the file is damaged, or of another family or size: it names the first
            weight that differs and both shapes.
        FileNotFoundError: there is no such file.
    """
    try:
        given = load_file(path)
    except SafetensorError as fault:
        raise ValueError(f"{path}: not a readable safetensors file ({fault}); train the run again") from fault
    wanted = _stored(module)
    for name in [*wanted, *sorted(given)]:
        there, here = _shape(given, name), _shape(wanted, name)
        if there != here:
            raise ValueError(
                f"{path}: weights of another family, option or size: '{name}' is {there} there "
                f"and {here} in this network; load them with the settings they were trained with"
            )
    # Names of shared tensors beyond the first are not in the file: they are filled through the first.
    module.load_state_dict(given, strict=False)


def restore(family: Family, spec: InputSpec, options: BaseModel, path: Path) -> nn.Module:
    """The network of *family* with the weights at *path*, in eval mode. Nothing is downloaded.

    Raises:
        ValueError: as `load_weights` and the family's build.
    """
    # Published weights would be fetched only to be overwritten.
    if "pretrained" in type(options).model_fields:
        options = options.model_copy(update={"pretrained": False})
    network = family.build(spec, options)
    load_weights(network, path)
    return network.eval()


def _stored(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the state once, under the first of its names."""
    firsts: dict[tuple[object, ...], str] = {}
    state: dict[str, Tensor] = module.state_dict()
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        firsts.setdefault(place, name)
    return {name: state[name] for name in firsts.values()}


def _shape(tensors: dict[str, Tensor], name: str) -> str:
    return str(list(tensors[name].shape)) if name in tensors else "missing"
