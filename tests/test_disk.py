"""No room, or no leave to write: one line and exit code 2, nothing half-written, and then it goes on.

The disks are real ones; see tests/small_disk.py.
"""

import hashlib
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from regatta.engine.training import train as engine_train
from regatta.engine.world import World
from regatta.errors import line_of
from tasks import download, evaluate, train
from tests.small_course import RUN, STEPS, Step, make_small_course
from tests.small_disk import SmallDisk, small_disk
from tests.test_download import PAYLOAD, Server, server, write_card
from tests.test_training import RECIPE, history, job_of, quiet, same, weights

__all__ = ["server"]  # a fixture

OUTPUTS = ("data/raw", "data/packed", "trained", "journals", "results", "costs", "report")


@pytest.fixture
def disk(tmp_path: Path) -> Generator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of one small run that has come to its report, on a disk with room."""
    return make_small_course(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(
    finished: Path, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """A function that goes to the finished project, but for one output, which lies on the small disk."""

    def enter(output: str) -> Path:
        folder = tmp_path / "project"
        others = (name for name in OUTPUTS if name != output)
        for name in ("models", "regatta", "datasets", *others):
            shutil.copytree(finished / name, folder / name)
        shutil.copyfile(finished / "params.yaml", folder / "params.yaml")
        (disk.folder / output).mkdir(parents=True)
        (folder / output).symlink_to(disk.folder / output)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("REGATTA_HOME", str(tmp_path / "home"))
        return folder

    return enter


def digests(folder: Path) -> dict[str, str]:
    """Of every file below *folder*, hidden ones too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Spoken(io.StringIO):
    """What is said, in memory: pytest's own files would not take it while nothing can be written.

    Something happens as soon as the *cue* is said.
    """

    def __init__(self, cue: str = "", happen: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.cue, self.happen = cue, happen

    def write(self, text: str) -> int:
        if self.happen and self.cue in text:
            self.happen()
        return super().write(text)

    def fileno(self) -> int:
        return 2


def refused(step: Step, name: str, out: Spoken | None = None) -> str:
    """The one line that the step ends with, beside exit code 2."""
    err = Spoken()
    with redirect_stdout(out or Spoken()), redirect_stderr(err), pytest.raises(SystemExit) as end:
        step([name])
    said = err.getvalue()
    assert end.value.code == 2
    assert said.startswith("error: ") and said.count("\n") == 1, said
    assert "there, then run the command again" in said, said
    return said


def said_by(step: Step, name: str) -> str:
    with redirect_stdout(Spoken()) as out:
        step([name])
    return out.getvalue()


@pytest.mark.parametrize("output", STEPS)
def test_a_full_disk_is_one_line_and_the_same_command_then_makes_the_same(
    output: str, project: Callable[[str], Path], finished: Path, disk: SmallDisk
) -> None:
    project(output)
    step, name = STEPS[output]
    disk.fill(leave_bytes=4096)
    line = refused(step, name)
    assert output in line or not disk.is_mounted, line
    disk.make_room()
    assert not digests(disk.folder)  # nothing half-written, not even hidden
    step([name])
    assert digests(disk.folder / output) == digests(finished / output)


@pytest.mark.parametrize("output", ["data/packed", "results", "report"])
def test_what_was_finished_before_stays(output: str, project: Callable[[str], Path], disk: SmallDisk) -> None:
    project(output)
    step, name = STEPS[output]
    step([name])
    before = digests(disk.folder)
    for deny in (disk.fill, disk.forbid):
        deny()
        refused(step, name)
        disk.make_room()
        assert digests(disk.folder) == before


def test_training_goes_on_from_its_last_checkpoint(
    project: Callable[[str], Path],
    finished: Path,
    disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = project("home")
    monkeypatch.setenv("REGATTA_HOME", str(disk.folder / "home"))
    for said in ("epoch 2/5 val", "epoch 4/5 val"):  # each time a checkpoint is due
        line = refused(train.main, "lamp", Spoken(said, disk.fill))
        assert "checkpoints" in line or not disk.is_mounted, line
        disk.make_room()
        assert not list(disk.folder.rglob(".*partial*"))
    assert "resumed after step 27\n" in said_by(train.main, "lamp")  # three epochs of nine steps
    assert digests(folder / "trained") == digests(finished / "trained")
    assert not digests(disk.folder / "home/runs")


def test_what_is_trained_is_not_trained_again_before_it_is_evaluated(
    project: Callable[[str], Path], finished: Path, disk: SmallDisk
) -> None:
    """Where its outputs found no room; and where DVC, for want of room in its cache, has removed them."""
    folder = project("trained")
    if disk.is_mounted:
        disk.fill()
        refused(train.main, "lamp")
        disk.make_room()
    else:
        train.main(["lamp"])
    for _ in range(2):
        shutil.rmtree(disk.folder / "trained/lamp", ignore_errors=True)
        assert "epoch" not in said_by(train.main, "lamp")
        assert digests(folder / "trained") == digests(finished / "trained")
    evaluate.main(["lamp"])
    assert not digests(folder.parent / "home/runs") and not digests(folder.parent / "home/finished")


@pytest.mark.parametrize(
    ("call", "place", "goes_on_in"),
    [(21, "run/.best", "epoch 1/3"), (30, "run/journal.jsonl", "epoch 2/3")],
    ids=["weights", "journal"],
)
def test_whatever_training_was_writing_it_goes_on_to_the_same(
    call: int, place: str, goes_on_in: str, disk: SmallDisk, packed_pictures, tmp_path: Path
) -> None:
    """Of 27 forward passes an epoch, 7 are for validation: full in the first one, and in mid-epoch."""
    packed = packed_pictures(problem="classification")
    recipe = RECIPE.model_copy(update={"batch_size": 2, "log_every_steps": 1, "checkpoint_every_s": 1e3})
    engine_train(job_of(packed, tmp_path / "plain", recipe), layers(), World(), quiet)
    job, network, calls = job_of(packed, disk.folder / "run", recipe), layers(), count(1)
    # The weights take nine pages, and so does the journal until the epoch's end.
    network.register_forward_pre_hook(lambda *_: disk.fill(4096) if next(calls) == call else None)
    with pytest.raises(OSError) as fault:
        engine_train(job, network, World(), quiet)
    if disk.is_mounted:
        assert place in line_of(fault.value)
    disk.make_room()
    said: list[str] = []
    engine_train(job, layers(), World(), said.append)
    assert said[0].startswith(goes_on_in)
    assert same(weights(job.folder), weights(tmp_path / "plain"))
    assert history(job.folder) == history(tmp_path / "plain")


def layers() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 3, 16), nn.ReLU(), nn.Linear(16, 3))


def test_a_download_goes_on_where_the_disk_was_full(
    server: Server, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGATTA_HOME", str(disk.folder / "home"))
    monkeypatch.delenv("REGATTA_MIRROR", raising=False)
    server.files["/a.bin"] = PAYLOAD
    write_card(PAYLOAD, mirrors=(server.address,))
    disk.fill(leave_bytes=400_000)
    assert "home/downloads" in refused(download.main, "d")
    assert not list(Path("data/raw").iterdir())
    disk.make_room()
    download.main(["d"])
    have = int((server.asked[-1][1] or "").removeprefix("bytes=").removesuffix("-"))
    assert 100_000 < have <= 400_000
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


TRACK = """
import sys
from tasks import track

while sys.stdin.readline():
    try:
        track.main(["classification"])
    except SystemExit as end:
        print("exit code", end.code)
    print("over", flush=True)
"""


def test_tracking_on_a_full_disk_is_paid_later(
    project: Callable[[str], Path], finished: Path, disk: SmallDisk, tmp_path: Path
) -> None:
    """In processes that see the disk where it is mounted, for sqlite follows links on its own."""
    project("tracked")
    disk.fill(leave_bytes=100_000)
    with tracker(disk, finished) as track:
        said = track()
    disk.make_room()
    assert "disk" in said and "1 runs with 50 points are still owed" in said, said
    with tracker(disk, finished) as track:
        if disk.is_mounted:
            disk.fill(leave_bytes=1_400_000)  # for the database, and not for all that belongs to the run
            said = track()
            assert "No space left" in said and "1 runs with 50 points are still owed" in said, said
        assert not list((disk.folder / "tracked").iterdir())
        disk.make_room()
        assert "1 runs with 50 points are in MLflow" in track()
    assert (disk.folder / "tracked/classification.json").exists()
    shutil.copyfile(disk.folder / "home/mlflow.db", tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("select name, status from runs").fetchall() == [("lamp", "FINISHED")]
        [(losses,)] = database.execute("select count(*) from metrics where key = 'val/loss'")
    assert losses == RUN["epochs"]


@contextmanager
def tracker(disk: SmallDisk, project: Path) -> Generator[Callable[[], str]]:
    """A function that runs `tasks.track`, in one process that imports MLflow once; what it says."""
    home = {"REGATTA_HOME": str(disk.place / "home"), "PYTHONPATH": str(project)}
    command = disk.command(sys.executable, "-c", TRACK)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, env=os.environ | home, **pipes) as process:
        assert process.stdin and process.stdout
        stdin, stdout = process.stdin, process.stdout

        def track() -> str:
            stdin.write("go\n")
            stdin.flush()
            return "".join(iter(stdout.readline, "over\n"))

        yield track


@pytest.mark.parametrize("output", ["home", "trained", "report"])
def test_a_place_that_is_read_only_is_named(
    output: str,
    project: Callable[[str], Path],
    disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project(output)
    if output == "home":
        monkeypatch.setenv("REGATTA_HOME", str(disk.folder / "home"))
    step, name = STEPS.get(output, STEPS["trained"])
    disk.forbid()
    line = refused(step, name)
    assert output in line or not disk.is_mounted, line
    disk.make_room()
    step([name])
