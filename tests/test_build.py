"""What is built before anything is trained: each network once, however many runs have it."""

from pathlib import Path

import pytest
import yaml

from models.family import InputSpec
from tasks import build
from tests.conftest import copy_project

RUNS = {
    "slow": {"family": "mlp", "lr": 0.01},
    "fast": {"family": "mlp", "lr": 0.1},
    "wide": {"family": "mlp", "options": {"width": 1024}},
    "deep": {"family": "lenet"},
}


def test_runs_with_the_same_network_are_one_to_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = copy_project(tmp_path)
    runs = {name: {"problem": "classification", "dataset": "digits"} | run for name, run in RUNS.items()}
    params = {"defaults": {"seed": 1, "epochs": 1}, "problems": ["classification"], "datasets": ["digits"]}
    (project / "params.yaml").write_text(yaml.safe_dump(params | {"runs": runs}, sort_keys=False))
    built: list[str] = []

    def built_for(family: object, spec: InputSpec, options: object, place: str) -> None:
        built.append(place)

    monkeypatch.setattr(build, "build", built_for)
    monkeypatch.chdir(project)
    build.main()
    assert built == [f"params.yaml: runs.{name}" for name in ("slow", "wide", "deep")]
    assert (project / "checked/networks.json").exists()
