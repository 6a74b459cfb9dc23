"""Kill trials, a few of those that `make chaos` draws; and that their judge sees what it is there to see."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.chaos.attempt import Blow
from benchmarks.chaos.draw import DVC, AtBytes, AtEvent, AtLine, AtStep, Kind, Moment, Trial, draw
from benchmarks.chaos.judge import judged
from benchmarks.chaos.kinds import KINDS, PUBLISHED, UNFINISHED
from benchmarks.chaos.project import Course, make_course
from benchmarks.chaos.remains import Remains
from benchmarks.chaos.standing import Standing
from benchmarks.chaos.trial import Result, run_trial

KIND = {kind.name: kind for kind in KINDS}
ON_THE_WAY: tuple[tuple[str, Moment], ...] = (
    ("in download", AtBytes(2)),
    ("in DVC's own files", AtEvent(DVC[1], "write", r"dvc\.lock", 1)),
    ("in packing", AtEvent("tasks.preprocess", "os.rename", UNFINISHED, 1)),
    ("the stage's process", AtStep(40)),
    ("in the journal's append", AtEvent("tasks.train", "write", r"journal\.jsonl$", 20)),
    ("in a checkpoint", AtEvent("tasks.train", "os.rename", r"checkpoints/\.", 2)),
    ("dvc alone", AtStep(150)),
    ("the whole dvc repro", AtStep(210)),
    ("in publishing", AtEvent("tasks.train", "os.rename", PUBLISHED, 2)),
    ("in publishing", AtEvent("tasks.train", "os.remove", r"^(outcome\.json|journal\.jsonl)$", 1)),
    ("in evaluation", AtEvent("tasks.evaluate", "open", UNFINISHED, 12)),
    ("in the report", AtEvent("tasks.report", "os.rename", UNFINISHED, 1)),
    ("in the MLflow sync", AtEvent("tasks.track", "sql", "", 120)),
)
"""One course from its beginning to its end, killed a dozen times on its way."""
STAGES_ON_THE_WAY = "evaluate@flecks", "report@classification", "track@classification"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return make_course(tmp_path_factory.mktemp("course"), workers=1)


def run(trial: Trial, course: Course, folder: Path) -> Result:
    result = run_trial(trial, course, folder / "trial", seed=0)
    log = (folder / "trial/output.log").read_text(errors="replace")
    assert result.verdict.faults == (), log[-6000:]
    return result


def altered(name: str, **changes: object) -> Kind:
    return dataclasses.replace(KIND[name], **changes)  # pyright: ignore[reportArgumentType]


@pytest.mark.timeout(900)
def test_a_course_killed_a_dozen_times_on_its_way_is_the_uninterrupted_one(
    course: Course, tmp_path: Path
) -> None:
    kinds = tuple(altered(name, begins="checked", command=DVC) for name, _ in ON_THE_WAY)
    result = run(Trial(1, kinds, tuple(moment for _, moment in ON_THE_WAY)), course, tmp_path)
    assert result.verdict.lost == result.verdict.duplicated == 0


@pytest.mark.timeout(300)
def test_an_output_that_was_there_before_is_not_lost(course: Course, tmp_path: Path) -> None:
    moment = AtEvent("tasks.preprocess", "os.rename", "^data/packed/", 2)
    run(Trial(2, (KIND["packing again"],), (moment,)), course, tmp_path)


@pytest.mark.timeout(600)
def test_a_flow_its_server_and_its_forks_are_killed(course: Course, tmp_path: Path) -> None:
    names = ("the flow", "a forked DVC, or what forks it", "the embedded Prefect server")
    kinds = tuple(altered(name, begins="trained") for name in names)
    moments = tuple(AtLine(f"{stage} | started") for stage in STAGES_ON_THE_WAY)
    run(Trial(3, kinds, moments), course, tmp_path)


@pytest.mark.timeout(900)
def test_workers_and_their_node_are_killed(tmp_path: Path) -> None:
    """On Ray, in one training: first a worker of two, then both, then the node that they are on."""
    course = make_course(tmp_path / "course", workers=2, until="trained")
    names = ("one Ray worker of two", "the whole Ray worker group", "the raylet of a second node")
    kinds = tuple(altered(name, command=(*DVC, "train@flecks")) for name in names)
    run(Trial(4, kinds, (AtStep(40), AtStep(120), AtStep(200))), course, tmp_path)


def test_what_is_killed_and_when_depends_on_seed_and_number_alone() -> None:
    assert [draw(7, n, KINDS) for n in range(1, 60)] == [draw(7, n, KINDS) for n in range(1, 60)]
    assert draw(7, 23, KINDS) != draw(8, 23, KINDS)


def test_every_kind_is_drawn_and_its_moments_can_be_read() -> None:
    trials = [draw(1, number, KINDS) for number in range(1, 1000)]
    assert {trial.kinds[0].name for trial in trials} == set(KIND)
    for trial in trials:
        if isinstance(trial.moments[0], AtEvent):
            re.compile(trial.moments[0].path)


BLOW = Blow(killed=True, at_s=0.0, standing=Standing(40, 30, 0.1))
STAGES = {"train@flecks": {"outs": [{"path": "trained/flecks", "md5": "a"}]}, "track@classification": {}}
GOOD = Remains(STAGES, Counter({("train/loss", 2, 0.5): 1, ("train/loss", 4, 0.4): 1}), ("FINISHED",), (), ())


@pytest.mark.parametrize(
    ("changes", "blows", "code", "fault"),
    [
        ({"points": Counter({("train/loss", 2, 0.5): 1})}, [BLOW], 0, "1 points lost"),
        ({"points": GOOD.points + Counter({("train/loss", 4, 0.4): 1})}, [BLOW], 0, "1 points too many"),
        ({"points": GOOD.points + Counter({("train/loss", 4, 0.39): 1})}, [BLOW], 0, "1 points too many"),
        ({"stages": STAGES | {"train@flecks": {"outs": []}}}, [BLOW], 0, "train@flecks is not the same"),
        ({"statuses": ("FINISHED", "FINISHED")}, [BLOW], 0, "MLflow's runs are"),
        ({"stale": ("flow run RUNNING",)}, [BLOW], 0, "flow run RUNNING"),
        ({"unfinished": ("trained/.flecks.partial-9",)}, [BLOW], 0, "unfinished: trained"),
        ({}, [dataclasses.replace(BLOW, orphans=1)], 0, "1 processes left behind"),
        ({}, [dataclasses.replace(BLOW, killed=False)], 0, "the moment did not come"),
        ({}, [BLOW], 255, "exit code 255"),
    ],
)
def test_the_judge_sees_every_fault(changes: dict, blows: Sequence[Blow], code: int, fault: str) -> None:
    assert judged(GOOD, GOOD, [BLOW], 0).is_clean
    verdict = judged(dataclasses.replace(GOOD, **changes), GOOD, blows, code)
    assert any(fault in line for line in verdict.faults), verdict.faults
