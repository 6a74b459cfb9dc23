"""The whole course as a user runs it, in a copy of the project: own data, own family, both drivers."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from regatta.manifest import MANIFEST, write_manifest
from tests.conftest import copy_project

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "hunter2-of-amazon",
    "REGATTA_MIRROR": "http://captain:hunter2-of-the-mirror@127.0.0.1:9",
}
"""In the environment of every command here, and in nothing that comes of it."""
TIMED = ("journals/", "costs/", "report/")
"""Outputs that tell of time; everything else is the same whoever drives."""
RUNS = {
    "softmax-digits": {"problem": "classification", "dataset": "digits", "family": "softmax"},
    "colour-paints": {"problem": "classification", "dataset": "paints", "family": "colour", "epochs": 8},
    "fcn8s-squares": {
        "problem": "segmentation",
        "dataset": "squares",
        "family": "fcn8s",
        "options": {"width": 0.0625},
    },
}


def told(language: str) -> list[str]:
    """The README's blocks in *language*: what it tells users to write, taken at its word."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def run(project: Path, *command: str, code: int | None = 0, **environment: str) -> str:
    """Run a command of the project's environment there; its output."""
    settings = {k: v for k, v in os.environ.items() if k not in ("REGATTA_HOME", "PYTHONPATH")}
    settings |= {"PATH": f"{BIN}:{os.environ['PATH']}", "DO_NOT_TRACK": "1"} | SECRETS | environment
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=project,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, done.stdout[-6000:]
    assert "hunter2" not in done.stdout
    return done.stdout


def secrets_in(project: Path) -> list[Path]:
    """Files that hold a secret of the environment: outputs, cache, MLflow's and Prefect's databases, logs."""
    files = [path for path in project.rglob("*") if path.is_file()]
    assert len(files) > 100
    return [path for path in files if b"hunter2" in path.read_bytes()]


def lock(project: Path) -> dict[str, Any]:
    """dvc.lock without the digests of what tells of time."""
    content = yaml.safe_load((project / "dvc.lock").read_text())
    for stage in content["stages"].values():
        for entry in stage.get("deps", []) + stage.get("outs", []):
            if entry["path"].startswith(TIMED):
                for key in ("md5", "size", "nfiles"):
                    entry.pop(key, None)
    return content


def make_paints(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for split, many in (("train", 12), ("test", 4)):
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True)
            for i in range(many):
                picture = generator.integers(0, 90, (20, 30 + i, 3), dtype=np.uint8)
                picture[..., channel] += 150
                Image.fromarray(picture).save(folder / split / name / f"{i}.jpg")


def make_squares(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for split, many in (("train", 10), ("val", 5)):
        (folder / split).mkdir(parents=True)
        (folder / f"{split}annot").mkdir()
        for i in range(many):
            picture = generator.integers(0, 60, (32, 48, 3), dtype=np.uint8)
            mask = np.zeros((32, 48), np.uint8)
            top, left = generator.integers(0, 16, 2)
            picture[top : top + 14, left : left + 14] += 150
            mask[top : top + 14, left : left + 14] = 1
            Image.fromarray(picture).save(folder / split / f"{i}.png")
            Image.fromarray(mask).save(folder / f"{split}annot" / f"{i}.png")


def make_project(folder: Path, source: Path) -> Path:
    """A copy of the project with two data sets and a family of the user's own: what the README says to do."""
    project = copy_project(folder)
    paints, squares, _ = told("yaml")
    for name, card in (("paints", paints), ("squares", squares)):
        text = card.replace(f"~/pictures/{name}", str(source / name))
        (project / f"datasets/{name}.yaml").write_text(text)
    family, lines = told("python")
    imported, listed = lines.splitlines(keepends=True)
    (project / "models/colour.py").write_text(family)
    listing = project / "models/__init__.py"
    text = listing.read_text().replace("import (\n", f"import (\n{imported}", 1)
    listing.write_text(text.replace('    "softmax"', f'{listed}    "softmax"', 1))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params |= {"datasets": ["digits", "paints", "squares"], "runs": RUNS}
    params["defaults"] |= {"epochs": 2, "threads_per_worker": 1}
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return project


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_paints(folder / "paints")
    make_squares(folder / "squares")
    return folder


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Generator[Path]:
    """The course, run by `dvc repro`."""
    project = make_project(tmp_path_factory.mktemp("serial"), source)
    run(project, "dvc", "repro")
    yield project


@pytest.mark.timeout(600)
def test_own_data_and_an_own_family_come_through_to_the_report(serial: Path) -> None:
    ranking = json.loads((serial / "report/classification/ranking.json").read_text())
    paints = next(row for row in ranking if row["run"] == "colour-paints")
    assert paints["score"] > 0.9  # the colours are learnt, not guessed
    (squares,) = json.loads((serial / "report/segmentation/ranking.json").read_text())
    assert squares["run"] == "fcn8s-squares"
    page = (serial / "report/classification/index.html").read_text()
    assert "colour-paints" in page
    for run_name, settings in RUNS.items():
        figures = serial / "results" / settings["problem"] / run_name / "figures"
        for name in ("curves.png", "confusion.png", "per_class.png", "samples/samples.json"):
            assert (figures / name).stat().st_size > 100, name


@pytest.mark.timeout(600)
def test_both_drivers_leave_the_same_lock(serial: Path, source: Path, tmp_path: Path) -> None:
    parallel = make_project(tmp_path, source)
    said = run(parallel, "python", "-m", "flows.reproduce")
    assert lock(parallel) == lock(serial)
    assert "colour-paints" in said
    before = (parallel / "dvc.lock").read_bytes()
    assert "up to date" in run(parallel, "dvc", "repro")
    assert (parallel / "dvc.lock").read_bytes() == before
    assert (parallel / ".regatta/prefect").is_dir()
    assert not secrets_in(parallel)


@pytest.mark.timeout(600)
def test_secrets_of_the_environment_are_in_no_output(serial: Path) -> None:
    assert (serial / ".regatta/mlflow.db").is_file()
    assert not secrets_in(serial)


@pytest.mark.timeout(300)
def test_a_second_time_nothing_is_done(serial: Path) -> None:
    before = (serial / "dvc.lock").read_bytes()
    assert "up to date" in run(serial, "python", "-m", "flows.reproduce")
    assert (serial / "dvc.lock").read_bytes() == before


@pytest.mark.timeout(300)
def test_training_again_gives_the_same_bytes(serial: Path) -> None:
    weights = {p: p.read_bytes() for p in (serial / "trained/softmax-digits").iterdir()}
    shutil.rmtree(serial / "trained/softmax-digits")
    run(serial, "python", "-m", "tasks.train", "softmax-digits")
    for path, content in weights.items():
        assert path.read_bytes() == content, path.name


@pytest.mark.timeout(300)
def test_dvc_shows_metrics_and_plots(serial: Path) -> None:
    shown = run(serial, "dvc", "metrics", "show")
    assert "top1" in shown
    assert "mean_iou" in shown
    run(serial, "dvc", "plots", "show", "--out", "plots")
    assert "colour-paints" in (serial / "plots/index.html").read_text()


@pytest.mark.timeout(300)
def test_an_older_version_of_the_data_comes_back_from_a_remote(tmp_path: Path) -> None:
    project, images = copy_project(tmp_path), "data/packed/digits/train/images.npy"
    card = project / "datasets/digits.yaml"
    run(project, "dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    versions: list[tuple[bytes, bytes]] = []
    for text in (card.read_text(), card.read_text().replace("split_seed: 1", "split_seed: 77")):
        card.write_text(text)
        run(project, "dvc", "repro", "preprocess@digits")
        run(project, "dvc", "push", "preprocess@digits")
        versions.append(((project / "dvc.lock").read_bytes(), (project / images).read_bytes()))
    (old_lock, old_images), (_, new_images) = versions
    assert old_images != new_images
    (project / "dvc.lock").write_bytes(old_lock)
    run(project, "dvc", "checkout", "preprocess@digits")
    assert (project / images).read_bytes() == old_images
    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(project / "data")
    run(project, "dvc", "pull", "preprocess@digits")
    assert (project / images).read_bytes() == old_images


@pytest.mark.timeout(300)
def test_the_readmes_commands_work(serial: Path) -> None:
    flows = {"train-segmentation/local", "train-classification/local", "reproduce/local"}
    for line in "".join(told("bash")).splitlines():
        words = shlex.split(line)
        if words[0] == "make":
            dry = ["make", "--dry-run", *words[1:]]
            assert subprocess.run(dry, cwd=serial, capture_output=True, check=False).returncode == 0, line
        elif words[0] == ".venv/bin/prefect":
            assert words[3] in flows, line  # run for real in test_flow_integration.py
        else:
            run(serial, words[0].removeprefix(".venv/bin/"), *words[1:])


BAD_COURSES = [
    ({"dataset": "digit"}, "unknown dataset 'digit': did you mean 'digits'?"),
    ({"epoch": 10}, "unknown key 'epoch': did you mean 'epochs'?"),
]
BAD_RUNS = [
    ({"family": "softmux"}, "unknown family 'softmux': did you mean 'softmax'?"),
    ({"family": "unet"}, "family 'unet' is for segmentation, but the run's problem is classification"),
    (
        {"dataset": "squares"},
        "data set 'squares' is for segmentation, but the run's problem is classification",
    ),
    ({"options": {"width": 3}}, "unknown key 'width'"),
    ({"epochs": "ten"}, "'epochs': "),
    ({"family": "lenet"}, "lenet"),  # 8x8 digits are too small for it without padding
]


@pytest.mark.timeout(600)
def test_what_cannot_be_run_is_refused_before_anything_runs(tmp_path: Path, source: Path) -> None:
    project = make_project(tmp_path, source)
    params = yaml.safe_load((project / "params.yaml").read_text())
    wrong: dict[str, Any] = {}
    bad = [("check", one) for one in BAD_COURSES] + [("build", one) for one in BAD_RUNS]
    for step, (changes, message) in bad:
        wrong = params | {"runs": RUNS | {"softmax-digits": RUNS["softmax-digits"] | changes}}
        (project / "params.yaml").write_text(yaml.safe_dump(wrong))
        said = run(project, "python", "-m", f"tasks.{step}", code=2)
        assert len(said.strip().splitlines()) == 1, said
        assert message in said
        assert "params.yaml: runs.softmax-digits" in said
        assert not (project / "checked").exists()
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    (project / "checked").write_text("a file where a folder must be")
    said = run(project, "python", "-m", "tasks.check", code=2)
    assert "checked" in said and len(said.strip().splitlines()) == 1, said
    (project / "checked").unlink()
    (project / "params.yaml").write_text(yaml.safe_dump(wrong))
    said = run(project, "dvc", "repro", code=None)
    assert "error: params.yaml: runs.softmax-digits" in said
    assert not (project / "data").exists()


@pytest.mark.timeout(300)
def test_bad_training_input_is_one_line_and_leaves_what_was_finished(serial: Path) -> None:
    params = (serial / "params.yaml").read_text()
    finished = sorted(p for p in (serial / "trained").rglob("*") if p.is_file())
    cases = [
        ({"batch_size": 100000}, "batch_size 100000 is more than the"),
        # With a rate of its own: what was trained already would not be trained again for other workers.
        ({"workers": 2, "gpus_per_worker": 1, "lr": 0.123}, "there are 0 GPUs"),
    ]
    try:
        for changes, message in cases:
            wrong = yaml.safe_load(params)
            wrong["runs"]["softmax-digits"] |= changes
            (serial / "params.yaml").write_text(yaml.safe_dump(wrong))
            said = run(serial, "python", "-m", "tasks.train", "softmax-digits", code=2)
            assert message in said
            assert "Traceback" not in said
    finally:
        (serial / "params.yaml").write_text(params)
    assert sorted(p for p in (serial / "trained").rglob("*") if p.is_file()) == finished


@pytest.mark.timeout(300)
def test_weights_of_another_family_are_refused(serial: Path) -> None:
    mine, kept = serial / "trained/softmax-digits", serial / "kept"
    shutil.copytree(mine, kept)
    shutil.copyfile(serial / "trained/colour-paints/best.safetensors", mine / "best.safetensors")
    (mine / MANIFEST).unlink()
    write_manifest(mine)
    try:
        said = run(serial, "python", "-m", "tasks.evaluate", "softmax-digits", code=2)
    finally:
        shutil.rmtree(mine)
        kept.rename(mine)
    assert "weights of another family" in said
    assert (serial / "results/classification/softmax-digits/scores.json").exists()


@pytest.mark.timeout(300)
def test_a_tracking_server_that_is_not_there_is_named_with_what_is_owed(serial: Path) -> None:
    said = run(
        serial,
        "python",
        "-m",
        "tasks.track",
        "classification",
        code=2,
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
    )
    assert "http://127.0.0.1:9" in said
    assert "Traceback" not in said
