"""Both drivers on a cold cache, one after the other: `python -m benchmarks.drivers`.

The embedded course is run by `dvc repro` and by `flows.reproduce`, each in a copy of the project with a
cache of its own; then once more, with nothing to do. Written to benchmarks/drivers_[hardware]_[date].md.
"""

import datetime
import resource
import sys
import tempfile
from pathlib import Path

from benchmarks.trial import copy_project, hardware, reproduce


def main() -> None:
    """Measure, print and write down."""
    dvc = str(Path(sys.executable).parent / "dvc")
    with tempfile.TemporaryDirectory(prefix="regatta-drivers-") as parent:
        parallel, serial = (copy_project(Path(parent) / name) for name in ("parallel", "serial"))
        parallel_s, serial_s = reproduce(parallel), reproduce(serial, dvc, "repro")
        before_s = _children_cpu_s()
        idle_serial_s, idle_cpu_s = reproduce(serial, dvc, "repro"), _children_cpu_s() - before_s
        idle_parallel_s = reproduce(parallel)
    today = datetime.date.today().isoformat()
    text = (
        f"# Both drivers\n\n{today}, {hardware()}. Made by `python -m benchmarks.drivers`: the embedded "
        "params.yaml on a cold cache, two stages at a time in parallel, one pair.\n\n"
        "| driver | cold, s | nothing to do, s |\n|---|--:|--:|\n"
        f"| `dvc repro` | {serial_s:.0f} | {idle_serial_s:.1f} ({idle_cpu_s:.1f} of CPU) |\n"
        f"| `python -m flows.reproduce` | {parallel_s:.0f} | {idle_parallel_s:.1f} |\n"
        f"| ratio | {serial_s / parallel_s:.2f} | |\n"
    )
    (Path("benchmarks") / f"drivers_{hardware()}_{today}.md").write_text(text)
    print(text)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
