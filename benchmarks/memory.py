"""Memory of the preprocess and train stages, as the data set grows: it should not.

python -m benchmarks.memory
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import yaml

from benchmarks.measuring import Goal, Sample, in_turn, write
from benchmarks.packing.pictures import photograph
from benchmarks.project import copy_project

TIMES = (1, 4, 16)
SIDE_PX = 96
CLASSES = ("even", "odd")
LOOK_EVERY_S = 0.01
STAGES = ("preprocess", "train")
HEAD = """# Memory, as the data set grows

Peak of the anonymous and shared memory of the real stage's process and all that it started, added up:
Pss_Anon + Pss_Shmem of /proc/PID/smaps_rollup, looked at every {look_ms:.0f} ms. (Pages that forked
processes still share count once, in parts. Pages of mapped files do not count: those of the packed arrays
belong to the page cache, which gives them back when somebody needs the room.) The set has {samples}
JPEGs of {side}×{side} to train on, which are {packed_mb:.0f} MB packed, then 4 and 16 times as many; the
run is `softmax` for one epoch with batches of 64. The sizes take turns, {pairs} times: memory scatters less
than time.

Made again by `python -m benchmarks.memory`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Measure memory")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="regatta-memory-") as parent:
        project = lay_out(Path(parent), options.samples)
        samples = [one for stage in options.stages for one in _measured(stage, project, options.pairs)]
    packed_mb = options.samples * SIDE_PX**2 * 3 / 1e6
    head = HEAD.format(
        look_ms=1000 * LOOK_EVERY_S,
        samples=options.samples,
        side=SIDE_PX,
        packed_mb=packed_mb,
        pairs=options.pairs,
    )
    write("memory", head, samples, _goals(options.stages))


def lay_out(parent: Path, samples: int) -> Path:
    """A copy of the project with data sets d1, d4 and d16, downloaded, and runs r1, r4 and r16."""
    _paint(parent / "painted", samples)
    project = copy_project(parent / "project")
    for times in TIMES:
        _multiply(parent / "painted", parent / f"own{times}", times)
        card = _card(parent / f"own{times}")
        (project / f"datasets/d{times}.yaml").write_text(yaml.safe_dump(card))
        _run(project, "download", f"d{times}")
    run = {"problem": "classification", "family": "softmax", "epochs": 1, "batch_size": 64}
    course = {
        "defaults": {"threads_per_worker": 1},
        "problems": ["classification"],
        "datasets": [f"d{times}" for times in TIMES],
        "runs": {f"r{times}": run | {"dataset": f"d{times}"} for times in TIMES},
    }
    (project / "params.yaml").write_text(yaml.safe_dump(course))
    return project


def _card(path: Path) -> dict[str, object]:
    return {
        "title": "of a benchmark",
        "problem": "classification",
        "format": "image-folder",
        "licence": "-",
        "citation": "-",
        "classes": list(CLASSES),
        "image": {"height_px": SIDE_PX, "width_px": SIDE_PX},
        "path": str(path),
        "splits": {split: {"folder": split} for split in ("train", "val", "test")},
    }


def _paint(folder: Path, samples: int) -> None:
    rng = np.random.default_rng(0)
    for split, count in {"train": samples, "val": 100, "test": 100}.items():
        for number in range(count):
            place = folder / split / CLASSES[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            photograph(rng, SIDE_PX, SIDE_PX).save(place / f"{number:05}.jpg")


def _multiply(painted: Path, folder: Path, times: int) -> None:
    """The same pictures, those to train on under so many names."""
    shutil.copytree(painted, folder, copy_function=os.link)
    for path in sorted((painted / "train").rglob("*.jpg")):
        for number in range(1, times):
            os.link(path, folder / path.relative_to(painted).with_name(f"{path.stem}-{number}.jpg"))


def _measured(stage: str, project: Path, pairs: int) -> list[Sample]:
    names = {f"{times}×": f"{'d' if stage == 'preprocess' else 'r'}{times}" for times in TIMES}

    def peak_mb(name: str) -> Callable[[], float]:
        return lambda: peak_bytes(project, stage, name) / 1e6

    return in_turn(stage, "MB", {size: peak_mb(name) for size, name in names.items()}, pairs)


def peak_bytes(project: Path, stage: str, name: str) -> int:
    """The most memory that the stage, begun anew, and its children had at once."""
    shutil.rmtree(project / ".regatta", ignore_errors=True)  # or a finished training would be taken up
    command, environment = _command(stage, name), _environment()
    process = subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_bytes(process.pid))
        time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise SystemExit(f"{stage} {name} ended with {process.returncode}")
    return peak


def _tree_bytes(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(map(_own_bytes, [pid, *(child.pid for child in process.children(recursive=True))]))
    except psutil.NoSuchProcess:
        return 0


def _own_bytes(pid: int) -> int:
    """Its part of anonymous and shared memory; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kept = (line.split() for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return sum(1024 * int(words[1]) for words in kept)


def _run(project: Path, stage: str, name: str) -> None:
    command, environment = _command(stage, name), _environment()
    subprocess.run(command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("REGATTA_HOME", "PYTHONPATH")}


def _command(stage: str, name: str) -> list[str]:
    return [sys.executable, "-m", f"tasks.{stage}", name]


def _goals(stages: Sequence[str]) -> list[Goal]:
    return [Goal(stage, f"{times}×", "1×", at_most=1.1) for stage in stages for times in TIMES[1:]]


if __name__ == "__main__":
    main()
