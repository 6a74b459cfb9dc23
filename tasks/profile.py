"""Where the time of a run's steps goes: `make profile RUN=NAME` → `profile/NAME`.

summary.md is one page; trace.json.gz opens on https://ui.perfetto.dev. The run's outputs and its work in
flight are neither read nor touched: it is a few steps from the start, thrown away.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from regatta.cluster.resources import device_of, resources_of
from regatta.engine.process import set_up_process
from regatta.engine.world import World
from regatta.errors import RegattaError, one_line_errors
from regatta.packed.schema import open_packed
from regatta.profiling.measure import profiled
from regatta.profiling.rehearsal import Rehearsal, rehearsing
from regatta.profiling.summary import summary
from regatta.settings.course import read_course
from regatta.settings.outputs import PACKED
from regatta.whole import whole_folder
from tasks.resolving import Resolved, resolve
from tasks.train import job_of, network_of

ROUND_S = 3.0


def main(argv: Sequence[str] | None = None) -> None:
    """Profile the run named in *argv*."""
    with one_line_errors():
        names = [name for name in (sys.argv[1:] if argv is None else argv) if name]
        if len(names) != 1:
            raise RegattaError("usage: make profile RUN=NAME, a run of params.yaml")
        profile_run(resolve(read_course(), names[0]), ROUND_S)


def profile_run(resolved: Resolved, round_s: float) -> None:
    """Write `profile/R`, by rounds of about *round_s*.

    Raises:
        RegattaError: its data is not packed yet, or its network does not fit the data.
    """
    name = resolved.run.name
    with TemporaryDirectory(prefix="regatta-profile-") as folder, whole_folder(Path("profile") / name) as out:
        with _rehearsing(resolved, Path(folder)) as rehearsal:
            profile = profiled(rehearsal, out / "trace.json.gz", round_s, _say)
        page = summary(profile, rehearsal.parts)
        (out / "summary.md").write_text(page, encoding="utf-8")
    print(page)
    print(f"profile/{name}/summary.md; profile/{name}/trace.json.gz opens on https://ui.perfetto.dev")


def _rehearsing(resolved: Resolved, folder: Path) -> AbstractContextManager[Rehearsal]:
    """The run's network and data, as one worker with the threads and the device of its recipe."""
    packed = open_packed(PACKED / resolved.run.dataset)
    job = job_of(resolved, packed).model_copy(update={"folder": folder})
    resources = resources_of(job.recipe, job.run, torch.cuda.device_count())
    set_up_process(resources.threads_per_worker)
    return rehearsing(job, network_of(job), World(device=device_of(resources, 0)))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
