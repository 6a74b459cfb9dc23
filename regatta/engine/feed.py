"""Batches out of a packed split: one vectorised gather each, one batch ahead of the step."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from regatta.engine.order import Share
from regatta.packed.schema import Split
from regatta.problems.batch import Batch

SMALL_SAMPLE_BYTES = 8192
"""Below this, copying a batch costs less than waking the thread that would copy it ahead."""
TOGETHER_BYTES = 2**20
"""Batches that are at hand are gathered so many bytes at once: what Python adds is added once."""


@dataclass
class Feed:
    """A split, ready to be read on *device*. `waited_s` is how long steps have waited for their data."""

    images: Tensor
    """u8[N H W C]: on the device, or a view of the memory map."""
    targets: Tensor
    device: torch.device
    waited_s: float = field(default=0.0)

    @property
    def at_hand(self) -> bool:
        """Whether a gather costs less than handing it to a thread."""
        on_device = self.device.type != "cpu" and self._is_there(self.images)
        return on_device or self.images[:1].numel() < SMALL_SAMPLE_BYTES

    def batches(self, shares: Iterable[Share]) -> Iterator[tuple[Share, Batch]]:
        """Each share with its batch, gathered while the step before it computes."""
        return self._together(iter(shares)) if self.at_hand else self._one_ahead(shares)

    def _together(self, shares: Iterator[Share]) -> Iterator[tuple[Share, Batch]]:
        for first in shares:
            batch_bytes = max(len(first.ids) * self.images[:1].numel(), 1)
            several = [first, *islice(shares, max(TOGETHER_BYTES // batch_bytes, 1) - 1)]
            start = time.perf_counter()
            batches = self.gather_all(several)
            self.waited_s += time.perf_counter() - start
            yield from zip(several, batches, strict=True)

    def _one_ahead(self, shares: Iterable[Share]) -> Iterator[tuple[Share, Batch]]:
        # One thread of its own, and no team: OpenMP has teams wait asleep, the step's too, once there are
        # more threads than cores, and waking up between operators cost a tenth of a step.
        with ThreadPoolExecutor(1, "feed", torch.set_num_threads, (1,)) as thread:
            ahead: deque[tuple[Share, Future[Batch]]] = deque()
            for share in shares:
                ahead.append((share, thread.submit(self.gather, share)))
                if len(ahead) > 1:
                    yield self._arrived(*ahead.popleft())
            while ahead:
                yield self._arrived(*ahead.popleft())

    def _arrived(self, share: Share, coming: Future[Batch]) -> tuple[Share, Batch]:
        start = time.perf_counter()
        batch = coming.result()
        self.waited_s += time.perf_counter() - start
        return share, batch

    def gather(self, share: Share) -> Batch:
        """The share's samples as u8[B C H W] (channels last in memory) on the device."""
        return self.gather_all([share])[0]

    def gather_all(self, shares: Sequence[Share]) -> list[Batch]:
        """The same of several shares at once."""
        sizes = [share.ids.shape[0] for share in shares]
        ids = torch.cat([share.ids for share in shares])
        here = ids if self.images.device.type == "cpu" else self._moved(ids)
        images_NCHW = self._moved(self.images.index_select(0, here)).permute(0, 3, 1, 2)
        targets = self._moved(self.targets.index_select(0, here))
        valid_N = self._moved(torch.cat([share.valid for share in shares]))
        columns = (values.split(sizes) for values in (images_NCHW, targets, ids, valid_N))
        return [Batch(*values) for values in zip(*columns, strict=True)]

    def one(self) -> Tensor:
        """The split's first image, u8[1 C H W] on the device."""
        return self._moved(self.images[:1]).permute(0, 3, 1, 2)

    def _is_there(self, values: Tensor) -> bool:
        # By kind, for "cuda" and "cuda:0" are not equal: no process computes on two of one kind.
        return values.device.type == self.device.type

    def _moved(self, values: Tensor) -> Tensor:
        if self._is_there(values):
            return values
        if self.device.type == "cuda":
            return values.pin_memory().to(self.device, non_blocking=True)
        return values.to(self.device)


def feed_of(split: Split, device: torch.device, resident_share: float) -> Feed:
    """A feed of *split* on *device*; kept there whole when it fits into *resident_share* of its memory.

    On a CPU the page cache already does so.
    """
    images, targets = torch.from_numpy(split.images), torch.from_numpy(split.targets)
    size_bytes = images.numel() + targets.numel() * targets.element_size()
    if device.type == "cuda":
        room_bytes = resident_share * torch.cuda.get_device_properties(device).total_memory
        if size_bytes <= room_bytes:
            images, targets = images.to(device), targets.to(device)
    return Feed(images, targets, device)
