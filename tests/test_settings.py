"""params.yaml and cards: what is wrong is said in one line, with the key and the nearest valid name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from regatta.errors import RegattaError, nearest, one_line_errors
from regatta.settings.card import card_names, read_card
from regatta.settings.course import read_course
from regatta.settings.recipe import Recipe, layered

GOOD: dict[str, Any] = {
    "defaults": {"epochs": 3},
    "problems": ["classification"],
    "datasets": ["digits"],
    "runs": {"one": {"problem": "classification", "dataset": "digits", "family": "mlp", "lr": 0.1}},
}


def course_with(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


def run_with(**changes: Any) -> dict[str, Any]:
    return {"one": GOOD["runs"]["one"] | changes}


def test_a_runs_own_settings_win_over_defaults_and_those_over_the_familys(tmp_path: Path) -> None:
    course = read_course(course_with(tmp_path, defaults={"epochs": 3, "augment": {"flip": True}}))
    family = {"epochs": 90, "lr": 9.0, "momentum": 0.5, "augment": {"flip": False, "shift_px": 2}}
    recipe = course.recipe(course.run("one"), family)
    assert (recipe.lr, recipe.epochs, recipe.momentum) == (0.1, 3, 0.5)
    assert (recipe.augment.flip, recipe.augment.shift_px) == (True, 2)


def test_layers_do_not_change_what_they_are_given() -> None:
    below: dict[str, Any] = {"loss": {"ce": 1.0}}
    assert layered(below, {"loss": {"dice": 1.0}}) == {"loss": {"ce": 1.0, "dice": 1.0}}
    assert below == {"loss": {"ce": 1.0}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"defaults": {"epoch": 3}}, r"defaults: unknown key 'epoch': did you mean 'epochs'\?"),
        ({"defaults": {"epochs": -1}}, r"defaults: 'epochs': .*greater than or equal to 0 \(found -1\)"),
        ({"defaults": {"epochs": "many"}}, r"defaults: 'epochs': .*valid integer.* \(found 'many'\)"),
        ({"defaults": {"lr": float("nan")}}, r"defaults: 'lr'"),
        ({"defaults": {"optimiser": "adma"}}, r"defaults: 'optimiser': .*'sgd', 'adam' or 'adamw'"),
        ({"defaults": {"augment": {"flop": True}}}, r"unknown key 'augment.flop': did you mean 'flip'\?"),
        ({"defaults": {"nesterov": True, "momentum": 0}}, "nesterov: needs optimiser sgd and a momentum"),
        ({"defaults": {"workers": "many"}}, r"'workers': .* integer.*, or: .*'auto' \(found 'many'\)"),
        ({"defaults": {"epochs": 2, "warmup_epochs": 3}}, "warmup_epochs: 3 are more than the 2 epochs"),
        ({"runs": run_with(learning_rate=1)}, r"runs.one: unknown key 'learning_rate'"),
        ({"runs": run_with(batchsize=1)}, r"unknown key 'batchsize': did you mean 'batch_size'\?"),
        ({"runs": run_with(dataset="digit")}, r"unknown dataset 'digit': did you mean 'digits'\?"),
        ({"runs": run_with(problem="segmentation")}, "list 'segmentation' under 'problems' too"),
        ({"runs": run_with(problem="clasification")}, r"runs.one: 'problem': .*'classification'"),
        ({"runs": {"one": "mlp"}}, r"runs.one: expected \{problem, dataset, family, …\}, found 'mlp'"),
        ({"runs": {"one": {"dataset": "digits"}}}, r"runs.one: 'problem': Field required"),
        ({"runs": {}}, "'runs' must hold at least one"),
        ({"runs": {"../out": GOOD["runs"]["one"]}}, r"runs.../out: the name '../out' must be"),
        ({"datasets": ["../etc"]}, "datasets: the name '../etc' must be"),
        ({"problems": ["classification", "segmentation"]}, "no run is about 'segmentation'"),
        ({"dataset": []}, r"unknown key 'dataset': did you mean 'datasets'\?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes, message: str, tmp_path: Path) -> None:
    path = course_with(tmp_path, **changes)
    with pytest.raises(RegattaError, match=message) as fault:
        course = read_course(path)
        for run in course.runs.values():
            course.recipe(run, {})
    assert str(path) in str(fault.value) or "params.yaml" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_missing_or_torn_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegattaError, match=r"params\.yaml: no such file"):
        read_course(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("runs: [")
    with pytest.raises(RegattaError, match="not valid YAML"):
        read_course(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- a\n- b\n")
    with pytest.raises(RegattaError, match="expected 'key: value' lines"):
        read_course(tmp_path / "params.yaml")


def test_a_date_that_does_not_exist_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("runs: 2024-02-30\n")
    with pytest.raises(RegattaError, match=r"params.yaml: not valid YAML: day is out of range"):
        read_course(tmp_path / "params.yaml")


def test_an_unknown_run_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RegattaError, match=r"no run 'onne': did you mean 'one'\?"):
        read_course(course_with(tmp_path)).run("onne")


def test_the_projects_own_files_are_good() -> None:
    course = read_course()
    assert {"classification", "segmentation"} == set(course.problems)
    for name in card_names():
        assert read_card(name).citation


CARD: dict[str, Any] = {
    "title": "t", "problem": "classification", "format": "image-folder", "licence": "MIT", "citation": "c",
    "classes": ["a", "b"], "image": {"height_px": 8, "width_px": 8}, "path": "x",
    "splits": {"train": {"folder": "train"}, "val": {"fraction": 0.1}, "test": {"folder": "test"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem": "segmentation"}, "format 'image-folder' does not hold segmentation data"),
        ({"classes": ["a", "a"]}, "classes: each name may stand only once"),
        ({"ignore_label": 1}, "ignore_label: 1 is also the index of a class"),
        ({"image": {"height_px": 0, "width_px": 8}}, r"'image.height_px': .*\(found 0\)"),
        ({"splits": {"train": {"folder": "t"}}}, "splits: 'val' is missing"),
        ({"license": "MIT"}, r"unknown key 'license': did you mean 'licence'\?"),
        ({"files": [{"name": "x.zip"}]}, "file 'x.zip' needs exactly one of sha256 and md5"),
    ],
)
def test_a_wrong_card_is_refused_in_one_line(changes, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CARD | changes))
    with pytest.raises(RegattaError, match=message) as fault:
        read_card("mine", tmp_path)
    assert "\n" not in str(fault.value)


def test_an_unknown_card_names_the_nearest() -> None:
    with pytest.raises(RegattaError, match=r"no card for data set 'digit': did you mean 'digits'\?"):
        read_card("digit")


def test_nearest_lists_all_when_none_is_near() -> None:
    assert nearest("zzz", ["a", "b"]) == "valid are: a, b"


def test_errors_end_in_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise RegattaError("what\nwhere: what to do")
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: what where: what to do\n"


def test_a_place_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_line_errors():
        Path("/proc/nowhere/file").write_text("x")
    assert "/proc/nowhere/file" in capsys.readouterr().err


def test_every_default_is_in_its_own_range() -> None:
    assert Recipe.model_validate(Recipe().model_dump()) == Recipe()
