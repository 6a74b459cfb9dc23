"""`python -m tasks.doctor mlflow|ray|gpu|runs`: the part of `make doctor` that other rooms know about.

One area for each process, so that what does not import there is not in the way of the rest.
"""

import argparse
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial

from regatta.errors import RegattaError
from regatta.findings import Check, Finding, examine, fine, looks_below, note, size_of
from regatta.settings.course import read_course
from regatta.settings.home import home
from regatta.settings.outputs import PACKED

ABANDONED_DAYS = 30
"""Work in flight that nobody has touched for so long, and that no run of params.yaml would go on with."""


def runs_in_flight() -> Iterator[Finding]:
    """Trainings that were begun and not finished, or not evaluated. Those of params.yaml are gone on with."""
    places = [*(home() / "runs").glob("[!.]*"), *(home() / "finished").glob("[!.]*")]
    folders = sorted(path for path in places if path.is_dir())
    keys = _keys() if folders else {}
    for folder in folders:
        looks = [folder.stat(), *looks_below(folder)]
        days = (time.time() - max(look.st_mtime for look in looks)) / 86400
        what = f"{folder}: {size_of(looks[1:])}"
        if folder.name in keys:
            yield fine(f"{what}, training of {keys[folder.name]}; 'dvc repro' goes on with it")
        else:
            # It may be a workspace's: only its age says that nobody will go on with it.
            mend = partial(shutil.rmtree, folder) if days > ABANDONED_DAYS else None
            text = f"{what}, of no run of params.yaml as it is now, {days:.0f} days old"
            yield note(text, f"rm -r {folder}, if you do not go back to its settings", mend)
    if not folders:
        yield fine("no training was begun that is not finished and evaluated")


def _keys() -> dict[str, str]:
    """The name of each run of params.yaml whose data is there, by its key."""
    from regatta.packed.schema import open_packed
    from tasks.resolving import resolve
    from tasks.train import job_of

    course, keys = read_course(), dict[str, str]()
    for name, run in course.runs.items():
        try:
            keys[job_of(resolve(course, name), open_packed(PACKED / run.dataset)).key] = name
        except RegattaError:
            continue
    return keys


def checks(area: str) -> Sequence[Check]:
    """The checks of *area*; only its own room is imported."""
    if area == "mlflow":
        from regatta.tracking import health

        return health.CHECKS
    if area == "ray":
        from regatta.cluster import health

        return health.CHECKS
    if area == "gpu":
        from regatta.cluster import gpus

        return gpus.CHECKS
    return (runs_in_flight,)


def main(argv: Sequence[str] | None = None) -> None:
    """Examine one area; a JSON line for each finding."""
    parser = argparse.ArgumentParser(prog="python -m tasks.doctor", description=__doc__)
    parser.add_argument("area", choices=["mlflow", "ray", "gpu", "runs"])
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely")
    options = parser.parse_args(argv)
    examine(checks(options.area), options.fix)


if __name__ == "__main__":
    main()
