"""Workers that die, stop, hang or meet a full disk: real Ray workers, really broken."""

import re
from pathlib import Path

import pytest

from tests.ray_fits import fit, job_of

LINES = 300
SPEAK_AND_DIE = f"""
def work(job, world, say):
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    attempt = "first" if first_time(job, f"spoken-{{world.rank}}") else "second"
    for i in range({LINES}):
        print(attempt, "print", i)
        logging.info(f"{{attempt}} log {{i}}")
        os.write(2, f"{{attempt}} write {{i}}\\n".encode())
    (job.folder / f"said-{{world.rank}}").touch()
    if world.rank == 1 and attempt == "first":
        while not (job.folder / "said-0").exists():
            time.sleep(0.01)  # Once this one is dead, the other is ended, in mid-speech if need be.
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
