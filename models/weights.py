"""Weights of a network from disk, where regatta/engine/tensor_files.py writes each tensor once."""

from pathlib import Path

from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.family import Family, InputSpec


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
    state: dict[str, Tensor] = module.state_dict()
    firsts = _first_names(state)
    given = {firsts.get(name, name): tensor for name, tensor in given.items()}
    wanted = {name: state[name] for name in firsts.values()}
    for name in [*wanted, *sorted(given)]:
        there, here = _shape(given, name), _shape(wanted, name)
        if there != here:
            raise ValueError(
                f"{path}: weights of another family, option or size: '{name}' is {there} there "
                f"and {here} in this network; load them with the settings they were trained with"
            )
    # Of the names that share a tensor one is given: the others are filled through it.
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


def _first_names(state: dict[str, Tensor]) -> dict[str, str]:
    """For each name the first of those that its tensor has."""
    firsts: dict[tuple[object, ...], str] = {}
    names: dict[str, str] = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        names[name] = firsts.setdefault(place, name)
    return names


def _shape(tensors: dict[str, Tensor], name: str) -> str:
    return str(list(tensors[name].shape)) if name in tensors else "missing"
