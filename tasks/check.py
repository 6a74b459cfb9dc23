"""Refuse a course with a wrong name, key or card, before anything is run: `python -m tasks.check`.

It loads no torch, so that downloads need not wait for it; what takes torch is `tasks/build.py`'s to refuse.
"""

import json

from regatta.errors import one_line_errors
from regatta.settings.card import read_card
from regatta.settings.course import read_course
from regatta.settings.outputs import CHECKED
from regatta.whole import whole_file


def main() -> None:
    """Check params.yaml and every card it names; write `checked/course.json`."""
    with one_line_errors():
        course = read_course()
        for name in course.datasets:
            read_card(name)
        write_checked("course")
        print(f"{len(course.runs)} runs on {len(course.datasets)} data sets")


def write_checked(what: str) -> None:
    """Write `checked/WHAT.json`: always the same bytes, or one changed run would make all others stale."""
    with whole_file(CHECKED / f"{what}.json") as file:
        file.write_text(json.dumps({"checked": True}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
