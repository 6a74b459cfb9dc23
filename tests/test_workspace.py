"""Overrides: what they may say, and the place of their own that they run in."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from flows.walking.course import planned
from flows.walking.overrides import overridden
from flows.walking.workspace import workspace
from regatta.errors import RegattaError
from tests.toy import PARAMS, make_toy, run

# pygtrie has deprecated what DVC itself calls while it builds its graph.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy that is up to date."""
    toy = make_toy(tmp_path_factory.mktemp("workspace") / "toy")
    code, output = run(toy, "dvc", "repro")
    assert code == 0, output
    return toy


@pytest.fixture
def toy(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished toy as the place to work in."""
    monkeypatch.chdir(finished)
    monkeypatch.delenv("REGATTA_HOME", raising=False)
    return finished


def changed(overrides: Sequence[str], runs: Sequence[str] = ()) -> set[str]:
    with planned(tuple(runs), tuple(overrides)) as plan:
        return {stage.name for stage in plan.stages if stage.changed}


def test_values_are_yaml_and_keys_are_dotted() -> None:
    params = yaml.safe_load(PARAMS) | {"runs": {"net.v2": {"lr": 1}, "net": {"lr": 1}}}
    sets = ["defaults.epochs=5", "defaults.lr=1e-3", "runs.net.v2.lr=0.5", "runs.net.options.deep=[1, 2]"]
    new = overridden(params, sets)
    assert new["defaults"] == {"epochs": 5, "lr": 0.001}
    assert new["runs"] == {"net.v2": {"lr": 0.5}, "net": {"lr": 1, "options": {"deep": [1, 2]}}}
    assert params["defaults"] == {"epochs": 2}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("defaults.epochs", "write it as key=value"),
        ("defaults..epochs=1", "write it as key=value"),
        ("defaults.epochs=[1", "not valid YAML"),
        ("defaults.epochs=2024-02-30", "not valid YAML"),
        ("defaults.epoch=1", "unknown key 'epoch': did you mean 'epochs'"),
        ("defaults.epochs=-1", "'epochs'"),
        ("runs.tow.lr=1", "no run 'tow': did you mean 'two'"),
        ("runs.two.lrr=1", "unknown key 'lrr': did you mean 'lr'"),
        ("datasets.d=1", "'datasets' holds a value, not keys"),
        ("default.epochs=1", "unknown key 'default': did you mean 'defaults'"),
        ("runs.two.dataset=f", "unknown dataset 'f'"),
    ],
)
def test_a_wrong_override_is_one_line_and_leaves_nothing(override: str, says: str, toy: Path) -> None:
    before = set((toy / ".regatta").rglob("*"))
    with pytest.raises(RegattaError) as fault, planned((), (override,)):
        pytest.fail("was taken")
    assert says in str(fault.value)
    assert "\n" not in str(fault.value) and ".regatta" not in str(fault.value)
    assert {path for path in (toy / ".regatta").rglob("*") if path.is_file()} <= before


def test_only_what_the_override_touches_has_to_run(toy: Path) -> None:
    assert changed(()) == set()
    assert changed(("runs.two.lr=0.7",)) == {"train@two"}
    assert changed(("runs.two.lr=0.7",), ("one",)) == set()
    assert changed(("defaults.epochs=9",)) == {"train@one", "train@two", "train@three"}
    # Neither the project's settings nor its results were touched.
    assert (toy / "params.yaml").read_text() == PARAMS
    assert changed(()) == set()


def test_same_overrides_share_a_place_but_never_at_the_same_time(toy: Path) -> None:
    with workspace(toy, ["runs.one.lr=0.5"]) as first:
        assert yaml.safe_load((first / "params.yaml").read_text())["runs"]["one"]["lr"] == 0.5
        assert (first / "trained" / "one").read_text() == (toy / "trained" / "one").read_text()
        with workspace(toy, ["runs.one.lr=0.5"]) as second, workspace(toy, ["runs.one.lr=0.6"]) as third:
            assert len({first, second, third}) == 3
    with workspace(toy, ["runs.one.lr=0.5"]) as again:
        assert again == first
    assert not list((toy / ".regatta" / "workspaces").glob("*partial*"))


def test_git_says_what_the_project_is(toy: Path) -> None:
    os.system(
        "git init -q . && printf '/data/\\n/trained/\\n/.regatta/\\n/results/\\n/report/\\n' > .gitignore"
    )
    (toy / "notes.txt").write_text("new, but not ignored")
    with workspace(toy, ["runs.one.lr=0.8"]) as folder:
        assert (folder / "notes.txt").exists()
        assert (folder / "tasks" / "step.py").exists()
        assert not (folder / ".git").exists()
        assert (folder / "trained" / "two").exists()


@pytest.mark.parametrize(
    ("runs", "says"),
    [(("tow",), "no classification run 'tow'"), (("three",), "no classification run 'three'")],
)
def test_an_unknown_run_is_refused_with_the_nearest(runs: tuple[str, ...], says: str, toy: Path) -> None:
    with pytest.raises(RegattaError, match=says), planned(runs, (), "classification"):
        pytest.fail("was taken")


def test_a_problem_alone_means_all_its_runs(toy: Path) -> None:
    with planned((), (), "segmentation") as plan:
        names = [stage.name for stage in plan.stages]
    assert names == ["download@e", "train@three", "evaluate@three", "report@segmentation"]
    assert plan.problems == ("segmentation",)


def test_a_place_of_its_own_needs_no_git(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with workspace(toy, ["defaults.epochs=7"]) as folder:
        assert yaml.safe_load((folder / "params.yaml").read_text())["defaults"] == {"epochs": 7}
        assert (folder / "tasks" / "step.py").exists()
