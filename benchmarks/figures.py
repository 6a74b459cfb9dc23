"""Puts the ratios of the newest records into docs/performance.md: `python -m benchmarks.figures`."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import FOLDER, GOALS_HEAD

PAGE = FOLDER.parent / "docs/performance.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def newest(suffix: str) -> Iterator[Path]:
    """Of each benchmark, the record with the latest date: `[what]_[hardware]_[date]`."""
    latest: dict[str, Path] = {}
    for path in sorted(FOLDER.glob(f"*_*{suffix}"), key=lambda path: path.stem[-10:]):
        latest[path.stem[:-11]] = path
    return iter(latest.values())


def goal_rows(page: str) -> list[str]:
    """The lines of a page that hold a ratio against its goal."""
    return [line for line in page.splitlines() if line.endswith(("| met |", "| missed |"))]


def figures() -> str:
    """All of them, under the names of their records."""
    parts: list[str] = []
    for path in sorted(newest(".md")):
        rows = goal_rows(path.read_text(encoding="utf-8"))
        if rows:
            link = f"[`{path.name}`](../benchmarks/{path.name})"
            parts.append("\n".join(["", link, "", GOALS_HEAD.rstrip(), *rows, ""]))
    return "".join(parts) + "\n"


def main() -> None:
    """Command line, without arguments."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    PAGE.write_text(before + begin + figures() + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
