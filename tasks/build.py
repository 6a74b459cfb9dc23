"""Refuse runs that cannot be trained, before any of them is: `python -m tasks.build`."""

from collections.abc import Sequence

import torch

from models.family import InputSpec
from regatta.engine.uncompiled import leave_compiler_out
from regatta.errors import one_line_errors
from regatta.settings.course import read_course
from tasks.check import write_checked
from tasks.resolving import Resolved, build, resolve


def main() -> None:
    """Resolve every run in params.yaml and build its network; write `checked/networks.json`."""
    with one_line_errors():
        leave_compiler_out()
        course = read_course()
        different = _different([resolve(course, name) for name in course.runs])
        for resolved in different:
            _fits(resolved)
        write_checked("networks")
        print(f"{len(course.runs)} runs can be run; different networks: {len(different)}")


def _different(runs: Sequence[Resolved]) -> list[Resolved]:
    """The first run of each network: those that differ in how they learn have the same one."""
    firsts: dict[tuple[object, ...], Resolved] = {}
    for run in runs:
        firsts.setdefault((run.family.name, run.options.model_dump_json(), _spec(run)), run)
    return list(firsts.values())


def _spec(resolved: Resolved) -> InputSpec:
    image = resolved.card.image
    return InputSpec(image.channels, image.height_px, image.width_px, len(resolved.card.classes))


def _fits(resolved: Resolved) -> None:
    """Build the network without memory for its weights: the family says whether the size fits."""
    # Pretrained weights are fetched when they are needed, not for a check.
    plain = resolved.options.model_copy(update={"pretrained": False})
    with torch.device("meta"):
        build(resolved.family, _spec(resolved), plain, f"params.yaml: runs.{resolved.run.name}")


if __name__ == "__main__":
    main()
