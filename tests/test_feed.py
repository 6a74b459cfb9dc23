"""Batches out of a split that lies on the device already: "meta" stands for one that this machine has not."""

import torch

from regatta.engine.feed import Feed
from regatta.engine.order import Share


def test_a_split_is_on_its_device_whether_or_not_that_is_numbered() -> None:
    resident = torch.zeros(9, 64, 64, 3, dtype=torch.uint8, device="meta:0")
    feed = Feed(resident, torch.zeros(9, dtype=torch.int64, device="meta:0"), torch.device("meta"))
    share = Share(torch.arange(4), torch.ones(4, dtype=torch.bool), slice(0, 4), 4)
    assert feed.at_hand
    assert feed.gather(share).images.shape == (4, 3, 64, 64)
    assert feed.gather(share).ids.device.type == "cpu"
