"""`make profile`: the engine's own steps, marked; a trace that opens; a page; and nothing else is touched."""

import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from regatta.digest import digest_of_file
from regatta.engine.feed import Feed
from regatta.engine.training import train
from regatta.engine.world import World
from regatta.packed.schema import Packed
from regatta.profiling.advice import advice
from regatta.profiling.limits import Machine, limits_of, work_of
from regatta.profiling.measure import Profile, profiled
from regatta.profiling.rehearsal import Rehearsal, rehearsing
from regatta.profiling.timeline import PARTS
from regatta.profiling.trace import TRACED_STEPS, record
from regatta.settings.recipe import Augment, Recipe
from tasks import profile
from tests.test_training import job_of, network_of, quiet, same, weights

RECIPE = Recipe(epochs=1, batch_size=8, lr=0.05, log_every_steps=2, augment=Augment(flip=True))


@pytest.fixture
def packed(packed_pictures: Callable[..., Packed]) -> Packed:
    return packed_pictures(problem="classification")


@pytest.fixture
def rehearsal(packed: Packed, tmp_path: Path) -> Generator[Rehearsal]:
    with rehearsing(job_of(packed, tmp_path / "flight", RECIPE), network_of(packed), World()) as ready:
        yield ready


def test_its_steps_are_the_engines(packed: Packed, rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.train(lambda steps, _: steps >= 5)
    job = job_of(packed, tmp_path / "trained", RECIPE)
    train(job, network_of(packed), World(), quiet)
    assert same(rehearsal.parts.network.state_dict(), weights(job.folder))


def test_every_part_of_every_step_is_timed(rehearsal: Rehearsal) -> None:
    began_s = time.perf_counter()
    steps = rehearsal.train(lambda steps, _: steps >= 9)  # over the end of an epoch of five
    elapsed_s = time.perf_counter() - began_s
    assert len(steps) == 8
    assert all(step.keys() == set(PARTS) for step in steps)
    assert 0 < sum(sum(step.values()) for step in steps) < elapsed_s


def test_slow_data_shows_as_waiting(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regatta.engine.feed.TOGETHER_BYTES", 0)  # one batch at a time
    gather_all = Feed.gather_all
    monkeypatch.setattr(Feed, "gather_all", lambda feed, some: time.sleep(0.05) or gather_all(feed, some))
    real, in_memory = (
        rehearsal.train(lambda steps, _: steps >= 4),
        rehearsal.train_in_memory(lambda steps, _: steps >= 4),
    )
    assert all(step["wait for data"] >= 0.05 for step in real)
    assert all(step["wait for data"] < 0.05 for step in in_memory)


def test_a_trace_has_the_parts_one_after_the_other(
    rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regatta.engine.feed.SMALL_SAMPLE_BYTES", 0)  # so that a thread gathers ahead
    operators = record(rehearsal, tmp_path / "trace.json.gz")
    events = trace_events(tmp_path / "trace.json.gz")
    assert all({"ph", "pid", "tid", "ts", "dur", "name"} <= event.keys() for event in events)
    ranges = sorted((event["ts"], event["dur"], event["name"]) for event in events if event["name"] in PARTS)
    assert Counter(name for *_, name in ranges) == dict.fromkeys(PARTS, TRACED_STEPS)
    assert all(start + length <= then for (start, length, _), (then, *_) in pairwise(ranges))
    assert nested([event for event in events if event["cat"] == "user_annotation"])
    gathering = {event["tid"] for event in events if event["name"] == "gather"}
    assert gathering and gathering.isdisjoint(event["tid"] for event in events if event["name"] in PARTS)
    assert "aten::convolution_backward" in {operator.name for operator in operators}


def nested(events: list[dict[str, Any]]) -> bool:
    """Whether each event of a thread ends before or after every other, never in its middle."""
    open_until: dict[int, list[float]] = {}
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        ends = open_until.setdefault(event["tid"], [])
        while ends and ends[-1] <= event["ts"]:
            ends.pop()
        if ends and event["ts"] + event["dur"] > ends[-1]:
            return False
        ends.append(event["ts"] + event["dur"])
    return True


def trace_events(path: Path) -> list[dict[str, Any]]:
    """What lasts, of a trace in Chrome's format."""
    with gzip.open(path) as file:
        return [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]


def test_limits_are_counted_by_hand(rehearsal: Rehearsal) -> None:
    parts = rehearsal.parts
    rehearsal.train(lambda steps, _: steps >= 1)  # so that the optimiser has its state
    work = work_of(parts, rehearsal.first_batch()[1])
    # A convolution 3 → 8 of 3×3 on 12×16 pixels and a linear layer 8 → 3, for 8 samples.
    assert work.forward_flops == 2 * 8 * (12 * 16 * 8 * 27 + 8 * 3)
    assert work.packed_bytes == 8 * (12 * 16 * 3) + 8 * 8
    assert work.input_bytes == 4 * 8 * 12 * 16 * 3
    parameters = sum(p.numel() for p in parts.network.parameters())
    assert work.update_bytes == 4 * 5 * parameters  # weights and momentum twice, gradients once
    limits = limits_of(work, Machine(flops_per_s=1e6, bf16_gain=1.0, bytes_per_s=1e3), micro_batches=2)
    assert limits["forward"] == 2 * work.input_bytes / 1e3
    assert limits["update"] == work.update_bytes / 1e3


@pytest.fixture
def project(packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with one run whose data is packed, and another whose data is not."""
    folder = tmp_path / "project"
    (folder / "datasets").mkdir(parents=True)
    (folder / "data/packed").mkdir(parents=True)
    for name in ("pictures", "unpacked"):
        (folder / f"datasets/{name}.yaml").write_text(yaml.safe_dump(CARD))
    packed.path.rename(folder / "data/packed/pictures")
    run = {"problem": "classification", "family": "softmax", "batch_size": 8, "threads_per_worker": 1}
    runs = {"ready": run | {"dataset": "pictures"}, "early": run | {"dataset": "unpacked"}}
    params = {"problems": ["classification"], "datasets": ["pictures", "unpacked"], "runs": runs}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for room in ("models", "regatta"):  # sources of a run's key
        (folder / room).symlink_to(Path(__file__).parents[1] / room)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("regatta.profiling.limits.PEAK_S", 0.01)
    monkeypatch.setattr(profile, "ROUND_S", 0.05)
    return folder


CARD = {
    "title": "Three lights",
    "problem": "classification",
    "format": "image-folder",
    "licence": "none",
    "citation": "none",
    "path": "/nowhere",
    "classes": ["class-0", "class-1", "class-2"],
    "image": {"height_px": 12, "width_px": 16},
    "splits": {"train": {"folder": "a"}, "val": {"folder": "b"}, "test": {"folder": "c"}},
}


def test_it_writes_a_page_and_a_trace_and_nothing_else(project: Path) -> None:
    before = files_of(project)
    profile.main(["ready"])
    after = files_of(project)
    made = {"profile/ready/summary.md", "profile/ready/trace.json.gz"}
    assert after.keys() - before.keys() == made
    assert {name: after[name] for name in before} == before
    page = (project / "profile/ready/summary.md").read_text()
    assert all(f"| {part} | " in page for part in PARTS)
    assert "samples/s" in page and "is the largest part" in page
    assert trace_events(project / "profile/ready/trace.json.gz")


def files_of(folder: Path) -> dict[str, str]:
    """Digest of each file below *folder*, links left out."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in paths}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["redy"], "params.yaml: no run 'redy': did you mean 'ready'?"),
        (["early"], "data/packed/unpacked: no packed data set of this version"),
        (["early"], "run 'dvc repro preprocess@unpacked'"),
        ([""], "usage: make profile RUN=NAME"),
    ],
)
def test_faults_are_told_in_one_line(
    arguments: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        profile.main(arguments)
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in message and message.count("\n") == 1
    assert not list(project.glob("profile/*")), "nothing half-written"


def test_advice_follows_the_largest_part(
    rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regatta.profiling.limits.PEAK_S", 0.01)
    made: Profile = profiled(rehearsal, tmp_path / "trace.json.gz", 0.05, quiet)
    parts = rehearsal.parts
    slow = replace(made, times=made.times | {"wait for data": 1.0})
    assert slow.largest == "wait for data" and "Raise batch_size" in advice(slow, parts)
    monkeypatch.setattr("regatta.engine.feed.SMALL_SAMPLE_BYTES", 0)
    assert "local disk" in advice(slow, parts)
    bound = replace(made, times=made.times | {"forward": 1.0, "backward": 2.0}, precision="bf16")
    near = replace(bound, limits=made.limits | {"forward": 0.9, "backward": 1.8})
    assert "the arithmetic itself binds" in advice(near, parts)
    assert "Raise batch_size" in advice(bound, parts)
