"""The graph that flows walk is DVC's own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.processes.leashes import Leashes
from flows.stages.dvc_start import DvcStart
from flows.walking import walk
from flows.walking.events import unheard
from flows.walking.graph import Stage, changed_now, read_stages, select
from flows.walking.lock_order import lock_names, order_lock
from regatta.errors import RegattaError
from tests.conftest import copy_project
from tests.toy import PROJECT, make_toy, run, toy_env

# pygtrie has deprecated what DVC itself calls while it builds its graph.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy that a serial `dvc repro` has brought up to date."""
    folder = make_toy(tmp_path_factory.mktemp("graph") / "toy")
    code, output = run(folder, "dvc", "repro")
    assert code == 0, output
    return folder


def dag_edges(folder: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """Stages and (upstream, downstream) pairs as `dvc dag` prints them."""
    command = [sys.executable, "-m", "dvc", "dag", "--dot"]
    dot = subprocess.run(
        command, cwd=folder, env=toy_env(folder), capture_output=True, text=True, check=True
    ).stdout
    edges = set(re.findall(r'"(.+?)" -> "(.+?)";', dot))
    return set(re.findall(r'"(.+?)"', dot)), edges


@pytest.mark.parametrize("which", ["toy", "project"])
def test_graph_equals_dvc_dag(which: str, toy: Path, tmp_path: Path) -> None:
    folder = toy
    if which == "project":
        if not (PROJECT / "params.yaml").exists():
            pytest.fail("params.yaml is missing: the project has no graph")
        folder = make_toy(tmp_path / "project")
        for name in ("dvc.yaml", "params.yaml"):
            (folder / name).write_bytes((PROJECT / name).read_bytes())
    stages = read_stages(folder)
    names, edges = dag_edges(folder)
    assert {stage.name for stage in stages} == names
    assert {(need, stage.name) for stage in stages for need in stage.upstream} == edges


def test_stages_come_after_those_they_need(toy: Path) -> None:
    seen: set[str] = set()
    for stage in read_stages(toy):
        assert seen.issuperset(stage.upstream)
        seen.add(stage.name)
    assert len(seen) == 10


def test_what_is_changed_is_what_dvc_status_says(tmp_path: Path, toy: Path) -> None:
    assert all(stage.changed for stage in read_stages(make_toy(tmp_path / "new")))
    assert not any(stage.changed for stage in read_stages(toy))
    params = toy / "params.yaml"
    before = params.read_text()
    try:
        params.write_text(before.replace("lr: 0.2", "lr: 0.3"))
        assert [stage.name for stage in read_stages(toy) if stage.changed] == ["train@two"]
        assert changed_now(toy, {"train@one", "train@two"}) == {"train@two"}
    finally:
        params.write_text(before)


def test_a_stage_that_is_gone_meanwhile_is_left_to_dvc(toy: Path) -> None:
    assert changed_now(toy, {"train@one", "train@gone"}) == {"train@gone"}


def test_what_may_have_changed_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[set[str]] = []

    def look(root: Path, names: set[str]) -> set[str]:
        looks.append(names)
        return names

    monkeypatch.setattr(walk, "changed_now", look)
    evaluate = Stage("evaluate@a", ("train@a",), changed=False)
    state = walk.Walk(Path(), {evaluate.name: evaluate}, walk.Pace(), unheard, DvcStart(Leashes()))
    assert walk.to_call(state, list(state.waiting.values())) == set(), "nothing ran upstream"
    state.endings["train@a"] = "done"
    for _ in range(2):  # The second time there was no room for it the first time.
        assert walk.to_call(state, list(state.waiting.values())) == {"evaluate@a"}
    assert looks == [{"evaluate@a"}]


def test_selecting_a_run_brings_its_upstream_and_its_problem(toy: Path) -> None:
    chosen = [stage.name for stage in select(read_stages(toy), {"two": "classification"})]
    assert chosen == ["download@d", "train@two", "evaluate@two", "report@classification"]


def test_lock_is_put_in_the_order_of_a_serial_walk(tmp_path: Path, toy: Path) -> None:
    folder = make_toy(tmp_path / "copy")
    serial = (toy / "dvc.lock").read_text()
    (folder / "dvc.lock").write_text(serial)
    names = lock_names(folder)
    order_lock(folder, list(reversed(names)), [])
    assert lock_names(folder) == list(reversed(names))
    order_lock(folder, [], names)
    assert (folder / "dvc.lock").read_text() == serial


def test_a_broken_dvc_yaml_is_one_line(tmp_path: Path) -> None:
    folder = make_toy(tmp_path / "broken")
    (folder / "dvc.yaml").write_text("stages:\n  check:\n    command: true\n")
    with pytest.raises(RegattaError, match=r"dvc\.yaml") as fault:
        read_stages(folder)
    assert "\n" not in str(fault.value)


def test_the_course_waits_for_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    stages = {stage.name: stage.upstream for stage in read_stages(copy_project(tmp_path))}
    assert stages["check"] == ()
    assert stages["download@digits"] == ("check",), "data arrive while networks are built"
    assert stages["train@mlp-digits"] == ("build", "preprocess@digits")
    assert not [name for name in stages["track@classification"] if name.startswith("report")]
    assert list(stages)[:3] == ["check", "build", "download@digits"], (
        "one after the other, they are built first"
    )
