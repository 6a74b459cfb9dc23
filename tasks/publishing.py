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
from regatta.errors import RegattaError
from regatta.manifest import write_manifest
from regatta.packed.schema import Packed
from regatta.settings.home import home
from regatta.settings.outputs import outputs_of
from regatta.settings.trained import InputShape, TrainedRun
from regatta.verified import differing
from regatta.whole import beside, sweep, whole_folder
from tasks.resolving import Resolved, sources

WEIGHTS = ("best.safetensors", "last.safetensors")
REPORTED_VERSIONS = ("torch", "torchvision", "ray", "numpy")


def publish(resolved: Resolved, packed: Packed, job: Job) -> None:
    """Write `trained/R` (the same bytes for the same run) and `journals/P/R` (what happened when).

    Until both outputs are whole, the command can be run again; and after that, too: see `_set_aside`.

    Raises:
        RegattaError: the weights are damaged; the line says how to train again.
    """
    run = resolved.run
    outcome = Outcome.model_validate_json((job.folder / "outcome.json").read_bytes())
    _check_weights(job, outcome)
    outputs = outputs_of(run.name, run.problem)
    with whole_folder(outputs.trained) as folder:
        for name in WEIGHTS:
            shutil.copyfile(job.folder / name, folder / name)
        write_history(job.folder / "journal.jsonl", folder / "history.csv")
        trained = _trained_run(resolved, packed, job, outcome)
        (folder / "run.json").write_text(trained.model_dump_json(indent=1) + "\n", encoding="utf-8")
        write_manifest(folder)
    with whole_folder(outputs.journals) as folder:
        shutil.copyfile(job.folder / "journal.jsonl", folder / "journal.jsonl")
        text = json.dumps(_timings(folder / "journal.jsonl", outcome), indent=1) + "\n"
        (folder / "timings.json").write_text(text, encoding="utf-8")
    _set_aside(job)


def _check_weights(job: Job, outcome: Outcome) -> None:
    """Make sure that the weights are still those that training wrote, perhaps days ago."""
    digests = zip(WEIGHTS, (outcome.best_digest, outcome.last_digest), strict=True)
    wrong, _ = differing(((job.folder / name, digest) for name, digest in digests), fresh=True)
    for path in wrong:
        again = f"rm -r {job.folder}; dvc repro train@{job.run}"
        raise RegattaError(f"{path}: is damaged; train from the start by '{again}'")


def _set_aside(job: Job) -> None:
    """Keep what the outputs were made of until the run is evaluated, for then DVC has them.

    A DVC that was killed right after this command, or found no room for them in its cache, throws them
    away and runs it again: days of training must not go with them.
    """
    shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)  # most of the room that it takes
    discard(job.key)
    kept = _kept(job.key)
    kept.parent.mkdir(exist_ok=True)
    job.folder.rename(kept)


def take_up(job: Job) -> None:
    """Bring back what was set aside of *job*, if it was; there is nothing to train then."""
    kept = _kept(job.key)
    if kept.exists() and not job.folder.exists():
        job.folder.parent.mkdir(exist_ok=True)
        kept.rename(job.folder)


def discard(key: str) -> None:
    """Remove what was set aside, by another name first: half of it would be of no use."""
    folder = _kept(key)
    if folder.parent.exists():
        sweep(folder.parent)  # of one that was killed at this
    if folder.exists():
        going = beside(folder)
        folder.rename(going)
        shutil.rmtree(going)


def _kept(key: str) -> Path:
    return home() / "finished" / key


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
    """The commit this was trained from; None outside of git, or without it."""
    if shutil.which("git") is None:
        return None
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else None
