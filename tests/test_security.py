"""What strangers may hand us, and what must not get out: one test for each line that stands nowhere else.

Elsewhere: servers on the loopback address (test_services.py, test_cluster.py), escaping archives and
names that leave the project (test_download.py, test_settings.py, test_workspace.py), unreadable images
(test_bad_images.py), names in the report as a browser shows them (test_report_page.py), secrets of the
environment (test_course.py, test_tracking_server.py), the hashed lock (test_lock.py).
"""

import ast
import hashlib
import html
import io
import json
import os
import pickle
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from flows.walking.course import planned
from flows.walking.outcome import Outcome, markdown, mlflow_pages
from models.weights import load_weights
from regatta.archives.fetch import fetch
from regatta.engine import checkpoint
from regatta.errors import RegattaError, one_line_errors, plain
from regatta.formats.digits import open_digits, write_digits
from regatta.reporting.samples import Sample, write_samples
from regatta.settings.card import read_card
from regatta.settings.course import read_course
from regatta.settings.origin import SourceFile, SplitSource
from regatta.settings.trained import read_trained
from tasks import check, download, evaluate, preprocess, report, track, train
from tasks.resolving import resolve
from tests.conftest import ROOT, pack
from tests.finished_runs import classification, write_project
from tests.small_course import make_small_course
from tests.toy import make_toy

OURS = ("flows", "tasks", "models", "regatta", "benchmarks")

# No pickle


UNPICKLING = re.compile(
    r"(torch|np|numpy|joblib|pickle|cloudpickle|dill|shelve|marshal)\.(load|loads|open|Unpickler)"
    r"|(pd|pandas)\.read_pickle|yaml\.(load|unsafe_load|full_load)|mlflow\.(pytorch|sklearn)\..*|eval|exec"
)


def test_no_line_of_ours_unpickles_or_runs_what_it_reads() -> None:
    for path in (path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert not UNPICKLING.fullmatch(ast.unparse(node.func)), f"{path}:{node.lineno}"


_unpickled: list[str] = []
_listening: list[bool] = []
"""Python keeps an audit hook for good, so this one listens only while a test wants it to."""


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _listening:
        _unpickled.append(".".join(map(str, arguments)))


sys.addaudithook(_hear)


@contextmanager
def unpickling() -> Iterator[list[str]]:
    """Names of all that is unpickled in this process, by whichever library, while the block lasts."""
    _unpickled.clear()
    _listening.append(True)
    try:
        yield _unpickled
    finally:
        _listening.clear()


@pytest.mark.filterwarnings("ignore")
def test_a_whole_course_and_its_model_loaded_back_unpickle_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unpickling() as seen:
        # The control: were the listener deaf, the silence of the course below would prove nothing. Only
        # bytes that this very line makes are read.
        pickle.loads(pickle.dumps(Path()))
        assert seen
    with unpickling() as seen:
        project = make_small_course(tmp_path)
        monkeypatch.chdir(project)
        monkeypatch.delenv("REGATTA_HOME", raising=False)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        track.main(["classification"])
        (model,) = project.glob(".regatta/mlartifacts/*/models/*/artifacts")
        import mlflow.pyfunc

        table = mlflow.pyfunc.load_model(str(model)).predict(np.zeros((2, 8, 8, 3), np.uint8))
    assert list(table["class"]) == ["dark", "dark"]
    assert seen == []


class Trap:
    """Makes the folder *path* when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.path,)


def as_pickle(trap: Trap) -> bytes:
    return pickle.dumps(trap)


def as_torch_file(trap: Trap) -> bytes:
    content = io.BytesIO()
    torch.save({"weight": trap}, content)
    return content.getvalue()


def as_npy(trap: Trap) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([trap, trap]), allow_pickle=True)
    return content.getvalue()


def digits(content: bytes, folder: Path) -> None:
    write_digits(folder)
    (folder / "images.npy").write_bytes(content)
    open_digits(folder, read_card("digits", ROOT / "datasets"), "train", SplitSource())


def packed(content: bytes, folder: Path) -> None:
    made = pack(folder / "packed", problem="classification")
    (made.path / "train/images.npy").write_bytes(content)
    made.split("train")


def weights(content: bytes, folder: Path) -> None:
    (folder / "best.safetensors").write_bytes(content)
    load_weights(nn.Linear(2, 2), folder / "best.safetensors")


@pytest.mark.parametrize("kind", [as_pickle, as_torch_file, as_npy])
@pytest.mark.parametrize("load", [digits, packed, weights])
def test_a_planted_pickle_is_refused_in_one_line(
    load: Callable[[bytes, Path], None], kind: Callable[[Trap], bytes], tmp_path: Path
) -> None:
    with pytest.raises((RegattaError, ValueError)) as fault:  # a ValueError becomes a line in evaluate
        load(kind(Trap(tmp_path / "trapped")), tmp_path)
    assert str(tmp_path) in str(fault.value)
    assert "\n" not in str(fault.value)
    assert not (tmp_path / "trapped").exists()


def test_a_planted_checkpoint_with_a_true_checksum_is_passed_over(tmp_path: Path) -> None:
    tensors = {"network.weight": torch.ones(2)}
    for step in (1, 2):
        checkpoint.save(tmp_path, checkpoint.State(step=step), tensors)
    newest = sorted(tmp_path.iterdir())[-1]
    content = as_torch_file(Trap(tmp_path / "trapped"))
    (newest / "state.safetensors").write_bytes(content)
    state = json.loads((newest / "state.json").read_text())
    state["checksum"] = hashlib.sha256(content).hexdigest()
    (newest / "state.json").write_text(json.dumps(state))
    found = checkpoint.latest(tmp_path)
    assert found is not None and found[0].step == 1
    assert not (tmp_path / "trapped").exists()


# Names that would leave the project


def refused(capsys: pytest.CaptureFixture[str], step: Callable[[list[str]], None], name: str) -> str:
    with pytest.raises(SystemExit) as end:
        step([name])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("error: ") and said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("step", [download.main, preprocess.main, train.main, evaluate.main, track.main])
@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "..", ""])
def test_no_step_takes_a_name_that_leads_out(
    step: Callable[[list[str]], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    write_project(tmp_path, classification(2))
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.parent.rglob("*"))
    assert repr(name) in refused(capsys, step, name)
    assert set(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize("key", ["name", "dataset"])
def test_an_altered_record_cannot_lead_results_out(key: str, tmp_path: Path) -> None:
    folder = tmp_path / "trained/mlp-digits"
    folder.mkdir(parents=True)
    write_project(tmp_path, classification(2))
    told = json.loads((tmp_path / "results/classification/mlp-digits/run.json").read_text())
    (folder / "run.json").write_text(json.dumps(told))
    assert read_trained(folder).name == "mlp-digits"
    for wrong in ("../../outside", "/tmp/outside", "softmax-digits"):
        (folder / "run.json").write_text(json.dumps(told | {key: wrong}))
        if (key, wrong) != ("dataset", "softmax-digits"):
            with pytest.raises(RegattaError, match="trained/mlp-digits"):
                read_trained(folder)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "resnet18./../../x", "resnet18.a/b", "local-dir:/tmp", "hf-hub:a/b", "a\nb"]
)
def test_an_encoder_is_a_name_and_no_place(name: str, tmp_path: Path) -> None:
    params = {"problems": ["segmentation"], "datasets": ["scenes"]}
    run = {"problem": "segmentation", "dataset": "scenes", "family": "unet", "options": {"encoder": name}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"runs": {"one": run}}))
    with pytest.raises(RegattaError, match=r"runs\.one\.options: 'encoder'") as fault:
        resolve(read_course(tmp_path / "params.yaml"), "one")
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    "override",
    ["datasets=[../d]", 'runs={"../x": {}}', "runs.../x={}", "runs.one.dataset=../d", "runs.one.family=../f"],
)
def test_an_override_cannot_lead_out(override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_toy(tmp_path / "toy")
    monkeypatch.chdir(tmp_path / "toy")
    monkeypatch.setenv("REGATTA_HOME", str(tmp_path / "home"))
    with pytest.raises(RegattaError, match=r"params\.yaml|key=value"), planned((), (override,)):
        pytest.fail("was taken")
    assert not [path for path in tmp_path.rglob("*") if path.name in ("d", "x", "f")]


@pytest.mark.parametrize("name", ["d; touch trapped", "$(touch trapped)", "d\ntouch trapped", "d`id`"])
def test_a_name_never_reaches_the_shell_that_dvc_starts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Every stage stands below `check`, which refuses the name."""
    write_project(tmp_path, classification(2))
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    for wrong in ({"datasets": [name]}, {"runs": {name: params["runs"]["mlp-digits"]}}):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | wrong))
        said = refused(capsys, lambda _: check.main(), "")
        assert "must be lower-case letters" in said or "not list" in said
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "checked/course.json" in stages["download"]["do"]["deps"]
    assert "data/raw/${item}" in stages["preprocess"]["do"]["deps"]
    assert "data/packed/${item.dataset}" in stages["train"]["do"]["deps"]


# Names are text


NAMES = {
    "markup": "train/<img src=x onerror=alert(1)>.png",
    "quotes": "train/\"'&</title>.png",
    "a terminal's orders": "train/\x1b]0;owned\x07\x1b[2J.png",
    "right to left": "train/\u202egnp.exe",
    "no UTF-8": os.fsdecode(b"train/\xff.png"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_samples_name_is_text_on_the_page(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    write_project(tmp_path, classification(1))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/classification/softmax-digits/figures/samples"
    image = np.zeros((8, 8, 3), np.uint8)
    write_samples(folder, [Sample("random", 7, NAMES[kind], image, "0", "1", 0.5)])
    report.main(["classification"])
    page = (tmp_path / "report/classification/index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "</title>." not in page
    assert "\x1b" not in page + capsys.readouterr().out
    assert html.escape(plain(NAMES[kind])) in page.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")


@pytest.mark.parametrize("kind", NAMES)
def test_an_error_about_a_file_cannot_steer_the_terminal(kind: str, capsys) -> None:
    with pytest.raises(SystemExit), one_line_errors():
        raise RegattaError(f"{NAMES[kind]}: is empty")
    said = capsys.readouterr().err
    assert said.endswith("is empty\n") and said[:-1].isprintable()
    said.encode()


def test_prefects_artifact_shows_names_as_text() -> None:
    row = {"rank": 1, "run": "<b>|[x](javascript:1)", "family": "`f`", "dataset": "*d*", "score": 0.5}
    text = markdown(Outcome("classification", (row,), Path("report/index.html"), {}, None))
    line = text.splitlines()[4]
    assert line == r"| 1 | &lt;b&gt;\|\[x\](javascript:1) | \`f\` | \*d\* | 0.5000 |"


# Passwords in addresses


def test_passwords_are_left_out_of_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://captain:hunter2@example.org/mlflow/")
    assert mlflow_pages() == "https://example.org/mlflow"
    file = SourceFile(name="a.bin", md5="0" * 32)
    with pytest.raises(RegattaError, match=r"http://127\.0\.0\.1:9: no connection") as fault:
        fetch(file, ["http://captain:hunter2@127.0.0.1:9"], tmp_path)
    assert "hunter2" not in str(fault.value)


def test_the_projects_lower_bounds_stand_above_known_holes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, bound in {"torch": (2, 10), "ray": (2, 54), "prefect": (3, 6, 22), "mlflow": (3, 11)}.items():
        pattern = rf"{name}(?:\[\w+\])?>=([\d.]+)"
        (found,) = [match[1] for line in project["dependencies"] if (match := re.match(pattern, line))]
        assert tuple(map(int, found.split("."))) >= bound
