"""What a network costs: counted operations against a formula; measurements that are at least possible."""

import torch
from torch import nn

from regatta.engine.costs import counted_flops, measure
from regatta.engine.live_memory import peak_bytes


def test_operations_are_two_for_each_multiply_add() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 25, 7))
    expected = 2 * (8 * 25 * 3 * 9) + 2 * (8 * 25 * 7)
    assert counted_flops(network.eval(), torch.zeros(1, 3, 5, 5)) == expected


def test_measurements_are_possible_and_ordered() -> None:
    costs = measure(nn.Flatten().eval(), torch.zeros(4, 3, 5, 5))
    assert 0 < costs.latency_p50_ms <= costs.latency_p95_ms
    assert costs.throughput_per_s > 0


def test_memory_is_that_of_tensors_that_are_alive_at_once() -> None:
    wide = nn.Linear(1000, 1000, bias=False)
    # Of three layers, only what goes in and comes out is alive with the weights; ReLU in place adds none.
    network = nn.Sequential(wide, nn.ReLU(inplace=True), wide, wide, nn.Flatten()).eval()
    images = torch.zeros(8, 1000)
    weights, values = 4 * 1000 * 1000, 4 * 8 * 1000
    assert peak_bytes(network, images) == weights + 3 * values
    assert peak_bytes(network, images) == weights + 3 * values
    assert measure(network, images).peak_memory_mb == (weights + 3 * values) / 2**20
