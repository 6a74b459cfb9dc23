"""A node that is lost and one that comes: a real Ray of several nodes on this machine."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.ray_nodes import ray_nodes
from regatta.engine.journal import points
from tests.ray_fits import job_of, start_fit
from tests.toy import listening, mark

UNTIL_ENOUGH = """
def work(job, world, say):
    import regatta.engine.training as training
    step = training.train_step
    def train_step(*parts):
        time.sleep(0 if (job.folder / "enough").exists() else 0.05)
        return step(*parts)
    training.train_step = train_step
    train_worker(job, world, say)
"""


@pytest.mark.timeout(500)
def test_a_run_goes_on_without_a_lost_node_and_takes_a_new_one_in(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=80)
    settings = {"workers": 2, "workers_min": 1, "resize_every_s": 2.0, "checkpoint_every_s": 0.5}
    job = job_of(packed, tmp_path / "run", epochs=1200, log_every_steps=2, **settings)
    marked = mark()
    with ray_nodes(dict(os.environ) | marked) as nodes:
        nodes.add(cpus=1)
        nodes.add(cpus=1)
        with start_fit(job, UNTIL_ENOUGH, **nodes.env, **marked) as process:
            lines = _Lines(process)
            lines.wait_for("training with 2 workers")
            lines.wait_for("epoch 2/1200 val loss")
            places = listening(marked)
            assert {place for _, place in places} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, places
            assert len(places) > 4
            nodes.kill()
            lines.wait_for("training with 1 worker")
            lines.wait_for("val loss")
            nodes.add(cpus=1)
            lines.wait_for("training with 2 workers")
            lines.wait_for("val loss")
            (job.folder / "enough").touch()
            lines.wait_for("epoch 1200/1200 val loss")
            assert process.wait(100) == 0
    steps = [
        point["step"] for point in points(job.folder / "journal.jsonl") if point["metric"] == "train/loss"
    ]
    assert steps == sorted(set(steps)) and steps[-1] == 6000
    assert len(steps) == 1200 * 3  # After two, four and five steps of each epoch: none lost, none twice.


class _Lines:
    """Reads what a process says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        self.stdout, self.seen = process.stdout, ""

    def wait_for(self, text: str) -> None:
        """Read on to a line with *text*."""
        for line in self.stdout:
            self.seen += line
            if text in line:
                return
        raise AssertionError(f"never said {text!r}, but:\n{self.seen[-3000:]}")
