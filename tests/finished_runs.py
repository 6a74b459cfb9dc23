"""A project in which every run is finished: made-up files as training and evaluating leave them."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from regatta.reporting.samples import Sample, write_samples
from regatta.settings.recipe import Recipe

DIGITS = tuple("0123456789")
SHAPES = ("ground", "disc", "square", "triangle", "star", "ring")
NASTY = ("<script>alert(1)</script>", "</style>\"'&", "$x_1$", "plain")
EPOCHS, STEPS_PER_EPOCH, TEST_SAMPLES = 6, 20, 360


@dataclass(frozen=True)
class Finished:
    """One made-up run. `strength` in 0..1 says how good it is."""

    name: str
    family: str
    dataset: str
    problem: str
    classes: tuple[str, ...]
    strength: float
    seed: int = 1
    has_activation: bool = False


def classification(count: int, dataset: str = "digits", classes: tuple[str, ...] = DIGITS) -> list[Finished]:
    families = ("softmax", "mlp", "cnn", "lenet", "vgg16-gap", "resnet18")
    named = [
        (f"{families[i % 6]}-{dataset}" + (f"-{i // 6 + 1}" if i >= 6 else ""), families[i % 6])
        for i in range(count)
    ]
    return [
        Finished(
            name,
            family,
            dataset,
            "classification",
            classes,
            0.5 + 0.09 * (i % 6) + 0.01 * (i // 6),
            has_activation=family == "vgg16-gap",
        )
        for i, (name, family) in enumerate(named)
    ]


def segmentation(count: int, dataset: str = "scenes") -> list[Finished]:
    families = ("fcn32s", "fcn16s", "fcn8s", "segnet", "unet", "pspnet", "fpn", "deeplabv3plus")
    named = [
        (f"{families[i % 8]}-{dataset}" + (f"-{i // 8 + 1}" if i >= 8 else ""), families[i % 8])
        for i in range(count)
    ]
    return [
        Finished(name, family, dataset, "segmentation", SHAPES, 0.4 + 0.065 * (i % 8))
        for i, (name, family) in enumerate(named)
    ]


def write_project(root: Path, runs: Sequence[Finished]) -> None:
    """params.yaml, results/, costs/ and journals/ for *runs* below *root*."""
    content = {
        "problems": sorted({run.problem for run in runs}),
        "datasets": list(dict.fromkeys(run.dataset for run in runs)),
        "runs": {r.name: {"problem": r.problem, "dataset": r.dataset, "family": r.family} for r in runs},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    for number, run in enumerate(runs):
        _write_run(root, run, np.random.default_rng(number))


def _write_run(root: Path, run: Finished, random: np.random.Generator) -> None:
    results = root / "results" / run.problem / run.name
    results.mkdir(parents=True)
    counts = _confusion(run, random)
    _write_json(results / "scores.json", _scores(run, counts))
    _write_json(results / "run.json", _record(run))
    _write_csv(results / "curves.csv", ("epoch", "step", "metric", "value"), _history(run, random))
    _write_csv(results / "per_class.csv", ("class", "score", "value", "support"), _per_class(run, counts))
    pairs = [(a, p, int(counts[i, j])) for i, a in enumerate(run.classes) for j, p in enumerate(run.classes)]
    _write_csv(results / "confusion.csv", ("actual", "predicted", "count"), pairs)
    ignore = 255 if run.problem == "segmentation" else None
    write_samples(results / "figures" / "samples", _samples(run, random), ignore)
    _write_json(root / "costs" / run.problem / f"{run.name}.json", _costs(run, random))
    _write_json(root / "journals" / run.problem / run.name / "timings.json", _timings(run, random))


def _confusion(run: Finished, random: np.random.Generator) -> np.ndarray:
    scale = TEST_SAMPLES // len(run.classes) if run.problem == "classification" else 40_000
    counts = random.poisson(
        (1 - run.strength) * scale / len(run.classes) ** 1.3, size=(len(run.classes),) * 2
    )
    np.fill_diagonal(counts, 0)
    np.fill_diagonal(counts, np.maximum(scale - counts.sum(axis=1), 1))
    return counts.astype(np.int64)


def _ratios(counts: np.ndarray) -> dict[str, np.ndarray]:
    right = np.diag(counts).astype(float)
    actual, predicted = counts.sum(axis=1), counts.sum(axis=0)
    return {
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(actual, 1),
        "f1": 2 * right / np.maximum(actual + predicted, 1),
        "iou": right / np.maximum(actual + predicted - right, 1),
        "dice": 2 * right / np.maximum(actual + predicted, 1),
    }


def _scores(run: Finished, counts: np.ndarray) -> dict[str, Any]:
    ratios = {name: float(values.mean()) for name, values in _ratios(counts).items()}
    top1 = float(np.diag(counts).sum() / counts.sum())
    head = {
        "run": run.name,
        "problem": run.problem,
        "dataset": run.dataset,
        "family": run.family,
        "key": "k" * 64,
    }
    head |= {"split": "test", "samples": TEST_SAMPLES, "loss": 2.3 * (1 - run.strength)}
    head |= {f"macro_{name}": ratios[name] for name in ("precision", "recall", "f1")}
    if run.problem == "classification":
        return head | {"primary": "top1", "top1": top1, "top5": min(1.0, top1 + 0.03)}
    areas = {"pixel_accuracy": top1, "mean_pixel_accuracy": ratios["recall"], "mean_dice": ratios["dice"]}
    return (
        head
        | areas
        | {"primary": "mean_iou", "mean_iou": ratios["iou"], "frequency_weighted_iou": ratios["iou"]}
    )


def _record(run: Finished) -> dict[str, Any]:
    side = 8 if run.problem == "classification" else 96
    recipe = Recipe(epochs=EPOCHS, seed=run.seed).model_dump()
    return {
        "name": run.name,
        "key": "9f" * 32,
        "problem": run.problem,
        "dataset": run.dataset,
        "family": run.family,
        "options": {"width": 0.25},
        "settings": recipe,
        "input": {"channels": 3, "height_px": side, "width_px": side},
        "classes": run.classes,
        "ignore_label": 255 if run.problem == "segmentation" else None,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "data_digest": "ab" * 32,
        "settings_digest": "cd" * 32,
        "source_digest": "ef" * 32,
        "parameters": int(10 ** (run.strength * 5) * 200),
        "flops": 1000,
        "best_epoch": EPOCHS - 1,
        "best_score": run.strength,
        "epochs": EPOCHS,
        "steps": EPOCHS * STEPS_PER_EPOCH,
    }


def _history(run: Finished, random: np.random.Generator) -> Iterable[tuple[int, int, str, float]]:
    primary = "top1" if run.problem == "classification" else "mean_iou"
    for step in range(2, EPOCHS * STEPS_PER_EPOCH + 1, 2):
        epoch = -(-step // STEPS_PER_EPOCH)
        fall = math.exp(-step * (0.3 + run.strength) / 40)
        yield epoch, step, "train/loss", 2.3 * fall + 0.3 * (1 - run.strength) + 0.03 * random.random()
        if step % STEPS_PER_EPOCH == 0:
            yield epoch, step, "val/loss", 2.1 * fall + 0.5 * (1 - run.strength) + 0.03 * random.random()
            yield epoch, step, f"val/{primary}", run.strength * (1 - fall) + 0.02 * random.random()


def _per_class(run: Finished, counts: np.ndarray) -> Iterable[tuple[str, str, float, int]]:
    names = ["precision", "recall", "f1"] + (["iou", "dice"] if run.problem == "segmentation" else [])
    ratios = _ratios(counts)
    for place, name in enumerate(run.classes):
        for score in names:
            yield name, score, float(ratios[score][place]), int(counts[place].sum())


def _samples(run: Finished, random: np.random.Generator) -> list[Sample]:
    kinds = (
        [("random", i) for i in (3, 17, 40, 41)]
        + [("best", i) for i in (50, 51, 52)]
        + [("worst", 60), ("worst", 61)]
    )
    make = _digit if run.problem == "classification" else _scene
    return [make(run, kind, i, random) for kind, i in kinds]


def _digit(run: Finished, kind: str, number: int, random: np.random.Generator) -> Sample:
    same = np.random.default_rng(number)
    image = same.integers(0, 256, (8, 8, 1), dtype=np.uint8)
    truth = run.classes[number % len(run.classes)]
    is_right = kind == "best" or (kind == "random" and random.random() < run.strength)
    told = truth if is_right else run.classes[(number + 1) % len(run.classes)]
    heat = random.random((3, 3), dtype=np.float32) if run.has_activation else None
    return Sample(kind, number, f"sample-{number}", image, truth, told, float(random.random()), heat)


def _scene(run: Finished, kind: str, number: int, random: np.random.Generator) -> Sample:
    same = np.random.default_rng(number)
    truth = np.zeros((96, 96), dtype=np.uint8)
    rows, columns = np.mgrid[:96, :96]
    for label in range(1, 6):
        y, x, r = same.integers((10, 10, 8), (86, 86, 24))
        truth[(rows - y) ** 2 + (columns - x) ** 2 < r * r] = label
    truth[:3] = 255
    colours = same.integers(40, 220, (256, 3))
    image = (
        (colours[truth] + same.normal(0, 18, (96, 96, 3)) + rows[..., None] * 0.4)
        .clip(0, 255)
        .astype(np.uint8)
    )
    shift = round((1 - run.strength) * 14)
    guess = np.roll(truth, (shift, shift // 2), (0, 1))
    return Sample(
        kind,
        number,
        f"scene_{number:04}.png",
        image,
        truth,
        np.where(guess == 255, 0, guess),
        float(random.random()),
    )


def _costs(run: Finished, random: np.random.Generator) -> dict[str, float]:
    heavy = 10 ** (run.strength * 5)
    p50 = 0.05 * heavy**0.6 * (0.7 + 0.6 * random.random())
    return {
        "flops": heavy * 9e4,
        "latency_p50_ms": p50,
        "latency_p95_ms": p50 * 1.3,
        "throughput_per_s": 9e4 / p50,
        "peak_memory_mb": 40 + heavy / 300,
        "evaluate_s": 3.2,
    }


def _timings(run: Finished, random: np.random.Generator) -> dict[str, Any]:
    return {
        "train_s": 2 + 10 ** (run.strength * 2),
        "samples_per_s": 5400.0 * random.random(),
        "data_wait_share": 0.031,
        "workers": 1,
        "device": "cpu",
        "hardware": "2 cores, 23 GiB",
        "git_commit": "0123abcd" * 5,
        "started_at_s": 1.7e9,
        "versions": {"python": "3.11.2", "torch": "2.15.0", "regatta": "0.1.0"},
    }


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
