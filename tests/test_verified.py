"""One flipped byte is named with what repairs it, before anything is made of it; reading once is enough."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch

from regatta import ledger, verified
from regatta.archives.fetch import fetch
from regatta.engine import checkpoint
from regatta.engine.job import Job
from regatta.errors import RegattaError
from regatta.manifest import MANIFEST, REPAIR, Damage, damages_in, verify, write_manifest
from regatta.packed.schema import Packed
from regatta.settings.home import home
from regatta.settings.origin import SourceFile
from regatta.verified import Cost
from tasks import evaluate, preprocess, track, train
from tasks.resolving import Resolved
from tests.conftest import ROOT, copy_project
from tests.small_course import Step, make_small_course
from tests.test_download import PAYLOAD, Server, server

__all__ = ["server"]  # a fixture

RNG = random.Random(7)
READERS: list[tuple[Step, str, str]] = [
    (preprocess.main, "lights", "data/raw/lights"),
    (train.main, "lamp", "data/packed/lights"),
    (evaluate.main, "lamp", "data/packed/lights"),
    (evaluate.main, "lamp", "trained/lamp"),
    (track.main, "classification", "trained/lamp"),
]
"""Steps, and the folders that they are handed."""


def flip(path: Path, at: int) -> None:
    """Flip a bit of byte *at* in place, and date the file as it was before."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ (1 << RNG.randrange(8))]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_course(tmp_path_factory.mktemp("course"))


@pytest.fixture
def project(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(course)
    monkeypatch.setenv("REGATTA_HOME", str(tmp_path / "home"))
    return course


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files and their manifest, all changed long enough ago to be remembered."""
    monkeypatch.setenv("REGATTA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(verified, "SETTLED_S", 0.05)
    made = tmp_path / "folder"
    (made / "deep").mkdir(parents=True)
    for name, size in (("a", 40), ("deep/b", 3), ("deep/empty", 0)):
        (made / name).write_bytes(RNG.randbytes(size))
    write_manifest(made)
    time.sleep(0.1)
    return made


# --- what is damaged is named, before anything is computed from it ---


@pytest.mark.parametrize(
    ("step", "name", "place"),
    READERS,
    ids=lambda value: value if isinstance(value, str) else value.__module__,
)
def test_a_flipped_byte_in_any_file_that_a_step_is_handed(
    step: Step, name: str, place: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = files_in(project / place)
    assert len(files) > 3
    for path in files:
        at = RNG.randrange(path.stat().st_size)
        content = path.read_bytes()
        flip(path, at)
        with pytest.raises(SystemExit) as end:
            step([name])
        path.write_bytes(content)
        said = capfd.readouterr()
        assert end.value.code == 2
        assert said.err == f"error: {path.relative_to(project)}: is damaged; repair it by '{REPAIR}'\n", at
        assert "epoch" not in said.out and not (home() / "runs").exists()
    verify(project / place)


def test_every_byte_of_every_file(folder: Path) -> None:
    for path in files_in(folder):
        content = path.read_bytes()
        for at in range(len(content)):
            flip(path, at)
            assert damages_in(folder)[0] == [Damage(path, "is damaged")], f"byte {at}"
            path.write_bytes(content)
    assert not damages_in(folder)[0]


def test_any_other_byte_in_a_manifest(folder: Path) -> None:
    """Also those that are as good to a reader of JSON, or of text: a carriage return, a tab."""
    path = folder / MANIFEST
    content = path.read_bytes()
    for at in range(len(content)):
        for byte in {9, 10, 13, 32, 48} - {content[at]}:
            path.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
            assert damages_in(folder)[0] == [Damage(path, "is damaged")], (at, byte)


def test_missing_and_added_files(folder: Path) -> None:
    (folder / "deep/b").unlink()
    (folder / "deep/new").touch()
    (folder / ".hidden").touch()
    missing, added = Damage(folder / "deep/b", "is missing"), Damage(folder / "deep/new", "was added")
    assert damages_in(folder)[0] == [missing, added]
    with pytest.raises(RegattaError, match=re.escape(f"{missing} (and 1 more); repair it by '{REPAIR}'")):
        verify(folder)
    (folder / MANIFEST).unlink()
    assert damages_in(folder)[0] == [Damage(folder / MANIFEST, "is missing")]
    assert damages_in(folder / "none")[0] == [Damage(folder / "none", "is missing")]


def test_the_manifest_is_the_same_wherever_and_whenever_it_is_written(folder: Path) -> None:
    first = (folder / MANIFEST).read_bytes()
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    (elsewhere / MANIFEST).unlink()
    write_manifest(elsewhere)
    assert (elsewhere / MANIFEST).read_bytes() == first
    with pytest.raises(RegattaError, match="kept for ours"):
        write_manifest(elsewhere)


def test_a_checkpoint_is_passed_over_for_the_one_before_whichever_byte_is_flipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, checkpoint.State(step=step), {"network.x": torch.full((2, 3), step)})
    newest = max(tmp_path.iterdir())
    for path in files_in(newest):
        content = path.read_bytes()
        for at in RNG.sample(range(len(content)), 30):
            flip(path, at)
            found = checkpoint.latest(tmp_path)
            path.write_bytes(content)
            assert found and found[0].step == 1 and found[1]["network.x"].eq(1).all(), f"{path} byte {at}"
            assert f"{path}: is damaged; going on from the one before" in capsys.readouterr().out


@pytest.mark.parametrize("weights", ["best.safetensors", "last.safetensors"])
def test_weights_that_were_damaged_since_they_were_trained_are_not_published(
    weights: str, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    publish, before = train.publish, [path.read_bytes() for path in files_in(project / "trained")]

    def publish_damaged(resolved: Resolved, packed: Packed, job: Job) -> None:
        flip(job.folder / weights, 500)
        publish(resolved, packed, job)

    monkeypatch.setattr(train, "publish", publish_damaged)
    with pytest.raises(SystemExit):
        train.main(["lamp"])
    (folder,) = (home() / "runs").iterdir()
    repair = f"train from the start by 'rm -r {folder}; dvc repro train@lamp'"
    assert capfd.readouterr().err == f"error: {folder / weights}: is damaged; {repair}\n"
    assert [path.read_bytes() for path in files_in(project / "trained")] == before


def test_a_kept_archive_is_named_and_fetched_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGATTA_HOME", str(tmp_path))
    server.files["/a.bin"] = PAYLOAD
    expected = hashlib.sha256(PAYLOAD).hexdigest()
    file = SourceFile(name="a.bin", sha256=expected)
    kept = fetch(file, [server.address], tmp_path / "downloads")
    assert fetch(file, [], tmp_path / "downloads") == kept
    flip(kept, 77)
    assert fetch(file, [server.address], tmp_path / "downloads").read_bytes() == PAYLOAD
    assert f"{kept}: is damaged (expected sha256 {expected}, found " in capsys.readouterr().out
    assert len(server.asked) == 2
    flip(kept, 78)
    with pytest.raises(RegattaError, match="cannot fetch"):
        fetch(file, [], tmp_path / "downloads")


# --- what repairs it ---


def run(project: Path, command: str) -> str:
    """Output of a command line in the project, where DVC and our modules are this environment's."""
    settings = {k: v for k, v in os.environ.items() if k not in ("REGATTA_HOME", "PYTHONPATH")}
    settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=project,
        env=settings,
        shell=True,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return done.stdout + done.stderr


def object_of(path: Path, project: Path) -> Path:
    """Where DVC's cache has the file's bytes."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def test_the_command_repairs_outputs_and_cache_wherever_the_damage_lies(tmp_path: Path) -> None:
    """DVC itself sees none of it: it says that all is up to date, and checks out what is damaged."""
    project = copy_project(tmp_path)
    made = "preprocess@digits"  # and what it stands on
    run(project, f"dvc repro {made}")
    raw, packed = project / "data/raw/digits", project / "data/packed/digits"
    whole = {path: path.read_bytes() for path in [*files_in(raw), *files_in(packed)]}
    assert len(whole) == 15

    flip(raw / "labels.npy", 900)  # before DVC ever looked
    run(project, "dvc commit --force download@digits")
    flip(object_of(packed / "train/images.npy", project), 5000)
    shutil.rmtree(packed)
    run(project, "dvc checkout preprocess@digits")
    flip(packed / "val/images.npy", 5000)
    flip(object_of(packed / "test/images.npy", project), 5000)
    flip(packed / "test/images.npy", 5000)

    damaged = {damage.path for place in (raw, packed) for damage in damages_in(place)[0]}
    names = ("train/images.npy", "val/images.npy", "test/images.npy")
    assert damaged == {raw / "labels.npy", *(packed / name for name in names)}
    assert "up to date" in run(project, f"dvc status {made}")
    command = REPAIR.replace("--fix", "--fix --area 'DVC cache'").replace("repro", f"repro {made}")
    said = run(project, command)
    assert {path: path.read_bytes() for path in [*files_in(raw), *files_in(packed)]} == whole, said
    assert "faults: 0" in run(project, "python -m flows.doctor --area 'DVC cache'")


# --- what is unchanged is not read again ---


@pytest.fixture(scope="module")
def every_open() -> list[str]:
    """Paths that this process has opened, as the interpreter tells them; hooks cannot be taken away again."""
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    return opened


def test_unchanged_files_are_not_read_again(folder: Path, every_open: list[str]) -> None:
    files = [str(path) for path in files_in(folder) if path.name != MANIFEST]

    def read_by(call: Callable[[], object]) -> list[str]:
        every_open.clear()
        call()
        return sorted(set(every_open) & set(files))

    assert read_by(lambda: verify(folder)) == files
    assert read_by(lambda: verify(folder)) == []
    assert read_by(lambda: damages_in(folder, fresh=True)) == files
    os.utime(folder / "a")
    assert read_by(lambda: verify(folder)) == [str(folder / "a")]
    (home() / "verified.jsonl").unlink()
    assert read_by(lambda: verify(folder)) == files


def test_a_file_that_is_dated_back_is_read_again(folder: Path) -> None:
    assert verify(folder).files_read == 3
    assert verify(folder).files_read == 0
    flip(folder / "a", 5)
    assert damages_in(folder)[0] == [Damage(folder / "a", "is damaged")]


def test_what_changed_a_moment_ago_is_not_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "SETTLED_S", 60.0)
    assert [verify(folder).files_read for _ in range(2)] == [3, 3]


def test_the_cost_is_said() -> None:
    assert str(Cost(2, 2, 1_550_000, 0.5)) == "verified 2 files, 1.6 MB read in 0.50 s"
    assert str(Cost(1) + Cost(1)) == "verified 2 files, unchanged since they were last read"


def test_a_step_says_what_verifying_cost(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "SETTLED_S", 0.0)
    said: list[str] = []
    for _ in range(2):
        preprocess.main(["lights"])
        said += [line for line in capfd.readouterr().out.splitlines() if "verified" in line]
    first, second = said
    assert re.fullmatch(r"data/raw/lights: verified 60 files, 0\.\d MB read in \d+\.\d\d s", first)
    assert second == "data/raw/lights: verified 60 files, unchanged since they were last read"


# --- the memory can be lost, torn or wrong, and does no harm ---


def test_a_memory_that_is_wrong_accuses_nobody(folder: Path) -> None:
    verify(folder)
    memory = home() / "verified.jsonl"
    wrong = [
        [*json.loads(line)[:2], "0" * 64, *json.loads(line)[3:]]
        for line in memory.read_text().split("\n")
        if line
    ]
    memory.write_text(
        "\n".join(map(json.dumps, wrong)) + '\n["sha256", "/torn\n7\n{}\n[[], []]\n[1, 2]\n\xff'
    )
    assert verify(folder).files_read == 3
    assert verify(folder).files_read == 0


def test_a_memory_that_cannot_be_written_is_done_without(folder: Path) -> None:
    home().write_text("a file where the folder should be")
    assert [verify(folder).files_read for _ in range(2)] == [3, 3]


def test_the_memory_does_not_grow_for_ever(folder: Path) -> None:
    alive, dead = ("sha256", str(folder / "a")), ("sha256", str(folder / "gone"))
    for size in range(1500):
        ledger.remember({alive: ("0" * 64, (size,)), dead: ("0" * 64, (size,))})
    assert ledger.recall()[alive] == ("0" * 64, (1499,))
    assert ledger.recall() == {alive: ("0" * 64, (1499,))}
    assert (home() / "verified.jsonl").read_text().count("\n") == 1


WRITER = """
import sys
from regatta.ledger import remember
print("begun", flush=True)
number = 0
while True:
    some = range(number, number := number + 500)
    remember({("md5", f"/{sys.argv[1]}/{n}"): (f"{n:032}", (n, n, n, n)) for n in some})
"""


@pytest.fixture
def writers(folder: Path) -> Generator[list[subprocess.Popen[str]]]:
    """Processes that write the memory as fast as they can."""
    command = [sys.executable, "-c", WRITER]
    started = [
        subprocess.Popen([*command, str(number)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_killed_writers_leave_a_memory_that_is_true(
    folder: Path, writers: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "SPARE_LINES", 10**9)
    for process in writers:
        assert process.stdout and process.stdout.readline() == "begun\n"
        time.sleep(RNG.uniform(0.05, 0.2))
    for process in writers:
        process.send_signal(signal.SIGKILL)
        process.wait()
    remembered = ledger.recall()
    assert len(remembered) > 1000
    for (_, path), (digest, look) in remembered.items():
        number = int(path.rpartition("/")[2])
        assert (digest, look) == (f"{number:032}", (number,) * 4)
    assert [verify(folder).files_read for _ in range(2)] == [3, 0]
