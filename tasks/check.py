"""Refuse a course that cannot be run, before anything of it is run: `python -m tasks.check`."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from models.family import InputSpec
from regatta.engine.uncompiled import leave_compiler_out
from regatta.errors import one_line_errors
from regatta.settings.card import read_card
from regatta.settings.course import read_course
from regatta.whole import whole_file
from tasks.resolving import Resolved, build, resolve


def main(argv: Sequence[str] | None = None) -> None:
    """Check params.yaml and every card it names; write `checked/course.json`."""
    with one_line_errors():
        leave_compiler_out()
        course = read_course()
        for name in course.datasets:
            read_card(name)
        for resolved in _different([resolve(course, name) for name in course.runs]):
            _fits(resolved)
        # Always the same bytes: a change of one run must not make the others stale.
        with whole_file(Path("checked/course.json")) as file:
            file.write_text(json.dumps({"checked": True}) + "\n", encoding="utf-8")
        print(f"{len(course.runs)} runs on {len(course.datasets)} data sets can be run")


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
