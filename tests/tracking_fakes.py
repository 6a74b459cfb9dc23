"""A finished course that was never trained: what `tasks.track` reads, in a folder of the test's own."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from PIL import Image

from models import FAMILIES
from models.family import InputSpec
from regatta.engine.tensor_files import write_weights
from regatta.manifest import write_manifest
from regatta.settings.recipe import Recipe

if TYPE_CHECKING:
    from mlflow import MlflowClient

STARTED_S = 1_700_000_000.0
CLASSES = {"classification": ["cat", "dog", "owl"], "segmentation": ["ground", "disc"]}
FAMILY = {"classification": ("softmax", {}), "segmentation": ("segnet", {"width": 0.125})}


def make_course(root: Path, runs: dict[str, dict[str, Any]], size_px: int = 32, steps: int = 30) -> Path:
    """Files of finished *runs* (name → problem, dataset, and optionally family, options, score)."""
    datasets = list(dict.fromkeys(run["dataset"] for run in runs.values()))
    problems = list(dict.fromkeys(run["problem"] for run in runs.values()))
    course = {"problems": problems, "datasets": datasets, "runs": {}}
    for place, (name, run) in enumerate(runs.items()):
        family, options = FAMILY[run["problem"]]
        run = {"family": family, "options": options, "score": 0.5 + place / 100} | run
        course["runs"][name] = {key: run[key] for key in ("problem", "dataset", "family", "options")}
        make_run(root, name, run, size_px, steps)
        _write(root / "datasets" / f"{run['dataset']}.yaml", _card(run, size_px))
    _write(root / "params.yaml", course)
    _write(
        root / "dvc.lock", {"schema": "2.0", "stages": {f"train@{n}": _stage(run) for n, run in runs.items()}}
    )
    return root


def make_run(root: Path, name: str, run: dict[str, Any], size_px: int, steps: int) -> None:
    problem = run["problem"]
    _make_trained(root / "trained" / name, name, run, size_px, steps)
    _make_journal(root / "journals" / problem / name, problem, steps)
    _make_results(root / "results" / problem / name, name, run)
    _write(
        root / "costs" / problem / f"{name}.json", {"parameters": 579, "latency_p50_ms": 0.2, "train_s": 9.5}
    )


def _make_trained(folder: Path, name: str, run: dict[str, Any], size_px: int, steps: int) -> None:
    classes = CLASSES[run["problem"]]
    family = FAMILIES[run["family"]]
    torch.manual_seed(len(name))
    folder.mkdir(parents=True)
    network = family.build(InputSpec(3, size_px, size_px, len(classes)), family.options(**run["options"]))
    write_weights(network, folder / "best.safetensors")
    write_weights(network, folder / "last.safetensors")
    told = {key: run[key] for key in ("problem", "dataset", "family", "options")}
    told |= {"name": name, "key": f"key-{name}", "settings": Recipe(epochs=3).model_dump(mode="json")}
    told |= {"input": {"channels": 3, "height_px": size_px, "width_px": size_px}, "classes": classes}
    told |= {"ignore_label": None, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.25]}
    told |= {"data_digest": f"{run['dataset']:f<64}", "settings_digest": "s", "source_digest": "c"}
    told |= {
        "parameters": 579,
        "flops": 1158,
        "best_epoch": 2,
        "best_score": 0.5,
        "epochs": 3,
        "steps": steps,
    }
    _write(folder / "run.json", told)
    write_manifest(folder)


def _make_journal(folder: Path, problem: str, steps: int) -> None:
    folder.mkdir(parents=True)
    primary = {"classification": "val/top1", "segmentation": "val/mean_iou"}[problem]
    metrics = {"train/loss": 1, "train/lr": 1, "train/samples_per_s": 1, "val/loss": 10, primary: 10}
    lines = [
        {"step": step, "epoch": step // 10, "metric": name, "value": 1 / step, "time_s": STARTED_S + step / 8}
        for step in range(1, steps + 1)
        for name, every in metrics.items()
        if step % every == 0
    ]
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    timings = {"train_s": 9.5, "started_at_s": STARTED_S, "device": "cpu", "hardware": "2 cores"}
    _write(folder / "timings.json", timings | {"git_commit": "c0ffee", "versions": {"python": "3.11"}})


def _make_results(folder: Path, name: str, run: dict[str, Any]) -> None:
    primary = {"classification": "top1", "segmentation": "mean_iou"}[run["problem"]]
    told = {key: run[key] for key in ("problem", "dataset", "family")}
    scores = {"run": name, "key": f"key-{name}", "split": "test", "samples": 9, "primary": primary}
    _write(folder / "scores.json", told | scores | {"loss": 0.7, primary: run["score"]})
    for table, header in {"per_class": "class,score", "confusion": "actual", "curves": "step"}.items():
        (folder / f"{table}.csv").write_text(header + "\n")
    samples = folder / "figures" / "samples"
    samples.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "figures" / "curves.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(samples / "1_image.png")
    _write(samples / "samples.json", [])


def _card(run: dict[str, Any], size_px: int) -> dict[str, Any]:
    folder_format = {"classification": "image-folder", "segmentation": "mask-folder"}[run["problem"]]
    source = {"images": "i", "masks": "m"} if run["problem"] == "segmentation" else {"folder": "f"}
    splits = {"train": source, "val": {"fraction": 0.1}, "test": source}
    card = {"title": run["dataset"], "problem": run["problem"], "format": folder_format, "licence": "none"}
    card |= {"citation": "none", "classes": CLASSES[run["problem"]], "splits": splits, "path": "."}
    return card | {"image": {"height_px": size_px, "width_px": size_px}}


def _stage(run: dict[str, Any]) -> dict[str, Any]:
    return {"cmd": "true", "deps": [{"path": f"data/packed/{run['dataset']}", "md5": "d" * 32 + ".dir"}]}


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1) if path.suffix == ".json" else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")


FAKE_RUN = {"problem": "classification", "family": "softmax", "options": {}}


def add_to_params(root: Path, name: str, dataset: str) -> None:
    course = yaml.safe_load((root / "params.yaml").read_text())
    course["runs"][name] = FAKE_RUN | {"dataset": dataset}
    _write(root / "params.yaml", course)


def content(uri: str, problem: str) -> dict[str, Any]:
    """Everything MLflow knows of a problem, free of MLflow's own ids and clock."""
    from regatta.tracking.server import tracking

    with tracking(uri) as mlflow:
        return _content(mlflow.client, problem)


def _content(client: "MlflowClient", problem: str) -> dict[str, Any]:
    experiment_id = _experiment_id(client, problem)
    runs = client.search_runs([experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    assert len(set(names.values())) == len(runs)
    models = client.search_logged_models([experiment_id])
    registered = f"regatta-{problem}"
    versions = client.search_model_versions(f"name = '{registered}'")
    assert len({version.run_id for version in versions}) == len(versions)
    by_version = {str(version.version): names[version.run_id] for version in versions}
    aliases = client.get_registered_model(registered).aliases
    return {
        "runs": {run.info.run_name: _run_content(client, run.info.run_id, models) for run in runs},
        "versions": {names[version.run_id]: dict(version.tags) for version in versions},
        "aliases": {alias: by_version[str(version)] for alias, version in aliases.items()},
    }


def _experiment_id(client: "MlflowClient", problem: str) -> str:
    experiment = client.get_experiment_by_name(problem)
    assert experiment is not None
    return experiment.experiment_id


def run_ids(uri: str, problem: str) -> dict[str, str]:
    from regatta.tracking.server import tracking

    with tracking(uri) as mlflow:
        runs = mlflow.client.search_runs([_experiment_id(mlflow.client, problem)])
    return {run.info.run_name: run.info.run_id for run in runs}


def _run_content(client: "MlflowClient", run_id: str, models: Any) -> dict[str, Any]:
    run = client.get_run(run_id)
    own = [model for model in models if model.source_run_id == run_id]
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id for model in own]
    return {
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "tags": run.data.tags,
        "params": run.data.params,
        "metrics": {
            name: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, name))
            for name in run.data.metrics
        },
        "datasets": [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs],
        "artifacts": dict(_artifacts(client, run_id)),
        "models": [
            {"name": m.name, "status": m.status.value, "params": m.params, "tags": _own_tags(m.tags)}
            | {"metrics": {metric.key: metric.value for metric in m.metrics}}
            | {"files": _model_files(m.model_id)}
            for m in own
        ],
    }


def _own_tags(tags: dict[str, str]) -> dict[str, str]:
    """Without the one that only MLflow's server sets."""
    return {name: value for name, value in tags.items() if name != "mlflow.modelVersions"}


def _artifacts(client: "MlflowClient", run_id: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    """Path and size of every file."""
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from _artifacts(client, run_id, entry.path)
        else:
            yield entry.path, entry.file_size


def _model_files(model_id: str) -> list[str]:
    from mlflow import artifacts

    with tempfile.TemporaryDirectory() as folder:
        path = Path(artifacts.download_artifacts(f"models:/{model_id}", dst_path=folder))
        return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
