"""Figures told to readers are those of the records in `benchmarks/`."""

from benchmarks.chaos.record import COUNTED, read_table, summary
from benchmarks.figures import goal_rows, newest
from tests.conftest import ROOT


def text(place: str) -> str:
    return (ROOT / place).read_text(encoding="utf-8")


def kill_trials() -> list[dict[str, object]]:
    (table,) = (path for path in newest(".csv") if path.name.startswith("chaos_"))
    return read_table(table)


def test_the_readme_tells_of_the_kill_trials_what_was_counted() -> None:
    rows = kill_trials()
    assert len(rows) >= 200
    assert not any(row[column] for row in rows for column in (*COUNTED, "faults"))
    assert all(row["killed"] for row in rows)
    assert summary(rows) in text("README.md")


def test_a_sum_of_kill_trials_counts_what_broke() -> None:
    rows = kill_trials()
    rows[0] |= {"lost": 2, "orphans": 1}
    assert "lost 2, duplicated 0, differing 0, orphans 1, stale 0" in summary(rows)


def test_the_ratios_told_are_those_recorded_and_all_of_them() -> None:
    recorded = {row for path in newest(".md") for row in goal_rows(path.read_text(encoding="utf-8"))}
    assert recorded
    assert set(goal_rows(text("docs/performance.md"))) == recorded
