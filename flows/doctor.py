"""`python -m flows.doctor`: what is wrong here, each finding with its remedy; `--fix` mends what is safe.

Standard library only, and each area a process on a leash with a time limit: nothing that is broken or
hangs can keep the others from being looked at. Without `--fix`, nothing is changed.
"""

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from flows.processes.leashes import Leashes
from flows.processes.lines import read_lines
from flows.stages.dvc_start import stage_env
from regatta.errors import one_line_errors
from regatta.findings import Told, read_told

AT_ONCE = 2


@dataclass(frozen=True)
class Area:
    """One part of the examination: `python -m COMMAND`."""

    name: str
    command: tuple[str, ...]
    timeout_s: float


AREAS = (
    # The longest first, so that the others go on beside it.
    Area("imports", ("flows.examining.imports",), 600),
    Area("installation", ("flows.examining.installation",), 60),
    Area("machine", ("flows.examining.machine",), 60),
    Area("services", ("flows.examining.services",), 30),
    Area("leftovers", ("flows.examining.leftovers",), 120),
    Area("DVC", ("flows.examining.repository",), 120),
    # Reads every byte of the cache that it has not read before.
    Area("DVC cache", ("flows.examining.cache",), 6 * 3600),
    Area("Prefect", ("flows.examining.prefect_runs",), 180),
    Area("MLflow", ("tasks.doctor", "mlflow"), 120),
    Area("Ray", ("tasks.doctor", "ray"), 120),
    Area("GPU", ("tasks.doctor", "gpu"), 120),
    Area("runs in flight", ("tasks.doctor", "runs"), 60),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line. Exit code 0 when no fault is left, 1 when one is."""
    options = _parser().parse_args(argv)
    areas = [area for area in AREAS if not options.area or area.name in options.area]
    with one_line_errors():
        try:
            told = _look_at_all(areas, options.fix)
        except KeyboardInterrupt:
            sys.exit(130)
    print(_summary(told), flush=True)
    sys.exit(1 if any(finding.severity == "fault" and not finding.is_mended for finding in told) else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.doctor", description=__doc__)
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely")
    parser.add_argument(
        "--area", action="append", choices=[area.name for area in AREAS], help="only this; may be repeated"
    )
    return parser


def _look_at_all(areas: Sequence[Area], fix: bool) -> list[Told]:
    leashes = Leashes()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return [*chain.from_iterable(pool.map(partial(_look, fix=fix, leashes=leashes), areas))]
        finally:
            # At Ctrl-C the pool would wait for all that it was given.
            pool.shutdown(wait=False, cancel_futures=True)
            leashes.end_all()


def _look(area: Area, fix: bool, leashes: Leashes) -> list[Told]:
    """Examine *area* and print what was found, in one piece."""
    _say(f"looking at {area.name} …")
    told = examined(area, fix, leashes)
    _say("\n".join([area.name, *map(_line, told)]))
    return told


def _say(text: str) -> None:
    """In one piece: others say something at the same time."""
    print(f"{text}\n", end="", flush=True)


def examined(area: Area, fix: bool, leashes: Leashes) -> list[Told]:
    """What the process of *area* tells; its breaking or hanging is a finding, too."""
    told: list[Told] = []
    others: list[str] = []
    command = [sys.executable, "-m", *area.command, *(["--fix"] if fix else [])]
    process = leashes.start(command, Path.cwd(), stage_env())
    in_time = threading.Timer(area.timeout_s, process.terminate)
    in_time.start()
    read_lines(process, lambda line, _: _hear(line, told, others))
    timed_out = not in_time.is_alive()
    in_time.cancel()
    code = leashes.end(process)
    if timed_out:
        told.append(Told("fault", f"not done after {area.timeout_s:.0f} s", _again(area)))
    elif code != 0:
        last = others[-1].strip() if others else f"exit code {code}"
        told.append(Told("fault", f"cannot be looked at: {last}", _again(area)))
    return told


def _hear(line: str, told: list[Told], others: list[str]) -> None:
    finding = read_told(line)
    if finding:
        told.append(finding)
    elif line.strip():
        others.append(line)


def _again(area: Area) -> str:
    return f"see it whole with '{Path(sys.executable).name} -m {' '.join(area.command)}'"


def _line(finding: Told) -> str:
    mark = "mended" if finding.is_mended else finding.severity
    remedy = f"\n           → {finding.remedy}" if finding.remedy and not finding.is_mended else ""
    return f"  {mark:6}  {finding.text}{remedy}"


def _summary(told: Sequence[Told]) -> str:
    """How many of what, and whether `--fix` would help."""
    left = [finding for finding in told if not finding.is_mended]
    count = Counter(finding.severity for finding in left)
    mended, mendable = len(told) - len(left), sum(finding.is_mendable for finding in left)
    text = f"faults: {count['fault']}, notes: {count['note']}, fine: {count['ok']}"
    text += f", mended: {mended}" if mended else ""
    return text + (f"; 'make doctor FIX=1' mends {mendable} of them" if mendable else "")


if __name__ == "__main__":
    main()
