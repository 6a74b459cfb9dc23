"""From a finished run's working folder to the outputs of its stage."""

import json
import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from regatta.digest import digest_of_sources, digest_of_value
from regatta.engine.job import Job, Outcome, channel_statistics
from regatta.engine.journal import points, write_history
from regatta.packed.schema import Packed
from regatta.settings.trained import InputShape, TrainedRun
from regatta.whole import whole_folder
from tasks.resolving import Resolved, sources

WEIGHTS = ("best.safetensors", "last.safetensors")
REPORTED_VERSIONS = ("torch", "torchvision", "ray", "numpy")


def publish(resolved: Resolved, packed: Packed, job: Job) -> None:
    """Write `trained/R` (the same bytes for the same run) and `journals/P/R` (what happened when).

    The working folder goes last: until both outputs are whole, the command can be run again.
    """
    run = resolved.run
    outcome = Outcome.model_validate_json((job.folder / "outcome.json").read_bytes())
    with whole_folder(Path("trained") / run.name) as folder:
        for name in WEIGHTS:
            shutil.copyfile(job.folder / name, folder / name)
        write_history(job.folder / "journal.jsonl", folder / "history.csv")
        trained = _trained_run(resolved, packed, job, outcome)
        (folder / "run.json").write_text(trained.model_dump_json(indent=1) + "\n", encoding="utf-8")
    with whole_folder(Path("journals") / run.problem / run.name) as folder:
        shutil.copyfile(job.folder / "journal.jsonl", folder / "journal.jsonl")
        text = json.dumps(_timings(folder / "journal.jsonl", outcome), indent=1) + "\n"
        (folder / "timings.json").write_text(text, encoding="utf-8")
    shutil.rmtree(job.folder)


def _trained_run(resolved: Resolved, packed: Packed, job: Job, outcome: Outcome) -> TrainedRun:
    schema, settings = packed.schema, resolved.recipe.model_dump()
    mean, std = channel_statistics(schema, resolved.recipe)
    return TrainedRun(
        name=resolved.run.name,
        key=job.key,
        problem=resolved.run.problem,
        dataset=resolved.run.dataset,
        family=resolved.run.family,
        options=job.options,
        settings=resolved.recipe,
        input=InputShape(channels=schema.channels, height_px=schema.height_px, width_px=schema.width_px),
        classes=schema.classes,
        ignore_label=schema.ignore_label,
        mean=mean,
        std=std,
        data_digest=packed.digest,
        settings_digest=digest_of_value(settings),
        source_digest=digest_of_sources(sources(resolved.run.family)),
        parameters=outcome.parameters,
        flops=outcome.flops,
        best_epoch=outcome.best_epoch,
        best_score=outcome.best_score,
        epochs=resolved.recipe.epochs,
        steps=outcome.steps,
    )


def _timings(journal: Path, outcome: Outcome) -> dict[str, Any]:
    began_s = next((point["time_s"] for point in points(journal)), time.time())
    return {
        "train_s": outcome.train_s,
        "samples_per_s": outcome.samples_per_s,
        "data_wait_share": outcome.data_wait_share,
        "workers": outcome.workers,
        "device": outcome.device,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "git_commit": _git_commit(),
        "started_at_s": began_s,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in REPORTED_VERSIONS},
    }


def _git_commit() -> str | None:
    """The commit this was trained from; None outside of git."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else None
