"""Workers that die, stop, hang or meet a full disk: real Ray workers, really broken."""

import re
import subprocess
from pathlib import Path

import pytest

from regatta.engine.journal import points
from regatta.settings.home import local_ray_environment
from tests.ray_fits import fit, job_of, start_fit
from tests.ray_nodes import ray_nodes
from tests.toy import listening, mark

LINES = 300
SPEAK_AND_DIE = f"""
def work(job, world, say):
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    attempt = "first" if first_time(job, f"spoken-{{world.rank}}") else "second"
    for i in range({LINES}):
        print(attempt, "print", i)
        logging.info(f"{{attempt}} log {{i}}")
        os.write(2, f"{{attempt}} write {{i}}\\n".encode())
    if world.rank == 1 and attempt == "first":
        os.write(1, b"my last wor")
        os.kill(os.getpid(), signal.SIGKILL)
    if attempt == "first":
        time.sleep(600)
"""


@pytest.mark.timeout(400)
def test_every_line_of_every_worker_arrives_also_the_last_before_a_crash(
    packed_pictures, tmp_path: Path
) -> None:
    job = job_of(packed_pictures(problem="classification"), tmp_path / "run", workers=2)
    done = fit(job, SPEAK_AND_DIE)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("", r"worker 1 \| "):
        for attempt in ("first", "second"):
            for way in ("print", "log", "write"):
                found = re.findall(rf"^{name}{attempt} {way} (\d+)$", done.stdout, re.MULTILINE)
                assert found == [str(i) for i in range(LINES)], (name, attempt, way)
    assert "worker 1 | my last wor\n" in done.stdout


HANG = """
def work(job, world, say):
    import regatta.engine.training as training
    step = training.train_step
    def train_step(parts, *rest):
        if parts.state.step == 5 and world.rank == 1 and first_time(job, "hung"):
            os.kill(os.getpid(), signal.SIGSTOP)
        return step(parts, *rest)
    training.train_step = train_step
    train_worker(job, world, say)
"""


@pytest.mark.timeout(400)
def test_a_stopped_worker_is_a_failure_with_all_stacks_and_then_a_retry(
    packed_pictures, tmp_path: Path
) -> None:
    packed = packed_pictures(problem="classification", train=80)
    job = job_of(packed, tmp_path / "run", workers=2, epochs=200, log_every_steps=2, checkpoint_every_s=0)
    job = job.model_copy(update={"recipe": job.recipe.model_copy(update={"hang_timeout_s": 15.0})})
    done = fit(job, HANG)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for rank in (0, 1):
        assert f"error: run trial, worker {rank} hangs: no step for 15 s" in done.stdout
    # Where the one stands that was stopped, and where the other waits for it.
    assert re.search(r"^worker 1 \|   File .*fit.py.* in train_step$", done.stdout, re.MULTILINE)
    assert re.search(r"^  File .*in (all_reduce|backward|_engine_run_backward)$", done.stdout, re.MULTILINE)
    assert re.search(r"^resumed after step \d+$", done.stdout, re.MULTILINE)
    assert "epoch 200/200 val loss" in done.stdout


FULL_DISK = """
def work(job, world, say):
    import errno
    import torch
    if world.leads:
        raise OSError(errno.ENOSPC, "No space left on device", str(job.folder / "checkpoints"))
    torch.distributed.barrier()
"""


@pytest.mark.timeout(400)
def test_a_fault_of_one_worker_of_two_is_one_line(packed_pictures, tmp_path: Path) -> None:
    job = job_of(packed_pictures(problem="classification"), tmp_path / "run", workers=2)
    done = fit(job, FULL_DISK)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: No space left on device '")
    assert "Traceback" not in done.stderr


ALWAYS = """
def work(job, world, say):
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
"""


@pytest.mark.timeout(400)
def test_workers_that_never_get_anywhere_are_given_up(packed_pictures, tmp_path: Path) -> None:
    job = job_of(packed_pictures(problem="classification"), tmp_path / "run", workers=2)
    done = fit(job, ALWAYS)
    assert done.returncode == 2
    assert "error: run trial: its workers were lost 4 times without getting further" in done.stderr
    assert "Traceback" not in done.stderr


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
    with ray_nodes(**marked) as nodes:
        nodes.add()
        nodes.add()
        environment = local_ray_environment() | {"RAY_ADDRESS": nodes.address} | marked
        with start_fit(job, UNTIL_ENOUGH, **environment) as process:
            lines = _Lines(process)
            lines.wait_for("training with 2 workers")
            lines.wait_for("epoch 2/1200 val loss")
            places = listening(marked)
            assert {place for _, place in places} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, places
            assert len(places) > 4
            nodes.kill()
            lines.wait_for("training with 1 worker")
            lines.wait_for("val loss")
            nodes.add()
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
