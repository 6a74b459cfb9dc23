"""What happened in a run, one JSON object a line; the one source that every record is made from.

{"step": 40, "epoch": 1, "metric": "train/loss", "value": 0.512, "time_s": 1700000000.0}
"""

import csv
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regatta.whole import named

CLOCKED = frozenset({"train/samples_per_s", "train/data_wait_share"})
"""Metrics that tell of time, and so differ from one run to the next."""


class Journal:
    """An append-only file of points; opening it again cuts off what came after *position*.

    A line that a full disk tore is behind the last checkpoint's position, and so is cut off.
    Every method raises OSError with the file's name when it cannot be written.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = path, path.open("ab")
        with named(path):
            self._file.truncate(position)

    def append(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add one line for each metric, in one write."""
        now_s = time.time()
        lines = [
            json.dumps({"step": step, "epoch": epoch, "metric": name, "value": value, "time_s": now_s})
            for name, value in metrics.items()
        ]
        with named(self._path):
            self._file.write(("\n".join(lines) + "\n").encode())
            self._file.flush()

    def position(self) -> int:
        """Length in bytes of what is safely on disk."""
        with named(self._path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        with named(self._path):
            self._file.close()


def points(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's points in order."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write_history(journal: Path, target: Path) -> None:
    """The journal without its clock: columns epoch,step,metric,value, the same for the same run."""
    with target.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("epoch", "step", "metric", "value"))
        for point in points(journal):
            if point["metric"] not in CLOCKED:
                table.writerow((point["epoch"], point["step"], point["metric"], repr(point["value"])))
