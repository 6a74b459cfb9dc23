"""What a network costs: counted operations against a formula; measurements that are at least possible."""

import torch
from torch import nn

from regatta.engine.costs import counted_flops, measure


def test_operations_are_two_for_each_multiply_add() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 25, 7))
    expected = 2 * (8 * 25 * 3 * 9) + 2 * (8 * 25 * 7)
    assert counted_flops(network.eval(), torch.zeros(1, 3, 5, 5)) == expected


def test_measurements_are_possible_and_ordered() -> None:
    costs = measure(nn.Flatten().eval(), torch.zeros(4, 3, 5, 5))
    assert 0 < costs.latency_p50_ms <= costs.latency_p95_ms
    assert costs.throughput_per_s > 0
    assert costs.peak_memory_mb > 50  # torch alone takes more
