"""torch without its compiler: training does not import it, and whoever needs it gets it whole."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TRAIN = """
import sys
import torch
from torch import nn
from regatta.engine.costs import counted_flops
from regatta.engine.uncompiled import leave_compiler_out

leave_compiler_out()
import torchvision
network, images = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.ones(5, 3, 2, 2)
for optimiser in (torch.optim.SGD(network.parameters()), torch.optim.AdamW(network.parameters())):
    network(images).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    optimiser.load_state_dict(optimiser.state_dict())
assert counted_flops(network.eval(), images[:1]) == 48
assert not {"sympy", "triton"} & set(sys.modules), "the compiler came along"
"""
WAKE = """
import torch._dynamo.config as config
import torch._dynamo as compiler

assert compiler.config is config and "torch._dynamo.eval_frame" in sys.modules
assert compiler.graph_break is not None and compiler.utils.get_optimize_ddp_mode() == "ddp_optimizer"
graphs = []


def compile_nothing(graph, _):
    graphs.append(graph)
    return graph


compiled = torch.compile(lambda images: network(images) * 2, backend=compile_nothing)
torch.testing.assert_close(compiled(images), network(images) * 2)
assert graphs, "nothing was compiled"
network(images).sum().backward()
optimiser.step()
"""


def test_training_leaves_the_compiler_asleep_and_it_can_be_woken() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN + WAKE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
