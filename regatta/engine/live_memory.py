"""How many bytes of tensors are alive at once: counted as they are made, the same on every machine.

What a process takes says more of its libraries, of what it did before and of what its allocator keeps. Not
counted is what a kernel needs for itself while it computes.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@torch.inference_mode()
def peak_bytes(network: nn.Module, images_BCHW: Tensor) -> int:
    """Most bytes alive while *network* (in eval mode) predicts, its weights and the images among them."""
    with LiveBytes([*network.parameters(), *network.buffers(), images_BCHW]) as live:
        network(images_BCHW)
    return live.peak


class LiveBytes(TorchDispatchMode):
    """Counts the storages behind *tensors*, and those made inside the block until each is freed."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known = weakref.WeakSet[UntypedStorage]()
        for tensor in tensors:
            self._count(tensor)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **kwargs or {})
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                self._count(value)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        size_bytes = storage.nbytes()
        self.live += size_bytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, size_bytes).atexit = False

    def _forget(self, size_bytes: int) -> None:
        self.live -= size_bytes
