"""Weights on disk: whole, the same bytes for the same weights, and refused where they do not belong."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models import FAMILIES
from models.family import InputSpec
from models.weights import load_weights, restore
from regatta.engine.tensor_files import write_weights
from regatta.whole import whole_file

MNIST = InputSpec(1, 28, 28, 10)


def build(family: str, spec: InputSpec = MNIST, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return FAMILIES[family].build(spec, FAMILIES[family].options())


class Tied(nn.Module):
    """Two names for one tensor, as in language models, and one buffer without elements."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight
        self.register_buffer("nothing", torch.empty(0))


def test_weights_of_another_family_are_refused(tmp_path: Path) -> None:
    write_weights(build("mlp"), tmp_path / "w.safetensors")
    network = build("lenet")
    before = [weights.clone() for weights in network.parameters()]
    with pytest.raises(ValueError, match=r"'0.weight' is missing there and \[6, 1, 5, 5\] in this") as caught:
        load_weights(network, tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)
    assert "w.safetensors" in str(caught.value)
    assert all(map(torch.equal, before, network.parameters()))


def test_weights_for_other_classes_are_refused_with_both_shapes(tmp_path: Path) -> None:
    write_weights(build("softmax"), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"'1.weight' is \[10, 784\] there and \[3, 784\] in this"):
        load_weights(build("softmax", InputSpec(1, 28, 28, 3)), tmp_path / "w.safetensors")


def test_weights_that_the_network_lacks_are_refused(tmp_path: Path) -> None:
    write_weights(build("mlp"), tmp_path / "w.safetensors")
    shorter = nn.Sequential(*list(build("mlp"))[:-1])  # pyright: ignore
    with pytest.raises(ValueError, match=r"'5.bias' is \[10\] there and missing in this"):
        load_weights(shorter, tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip, say", b"\xff" * 64])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable safetensors file") as caught:
        load_weights(build("softmax"), tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_tied_weights_are_kept_once_and_stay_tied(tmp_path: Path) -> None:
    first, second = Tied(), Tied()
    write_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    assert torch.equal(first.decoder.weight, second.decoder.weight)
    assert second.decoder.weight is second.encoder.weight


def test_the_same_weights_are_the_same_bytes_in_any_memory_format(tmp_path: Path) -> None:
    write_weights(build("lenet"), tmp_path / "a")
    write_weights(build("lenet").to(memory_format=torch.channels_last), tmp_path / "b")  # pyright: ignore
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError), whole_file(path) as file:
        write_weights(build("softmax"), file)
    assert list(tmp_path.iterdir()) == [path]


def test_restoring_downloads_nothing(tmp_path: Path) -> None:
    family, spec = FAMILIES["resnet18"], InputSpec(3, 64, 64, 2)
    write_weights(family.build(spec, family.options()), tmp_path / "w.safetensors")
    network = restore(family, spec, family.options(pretrained=True), tmp_path / "w.safetensors")
    assert not network.training
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
