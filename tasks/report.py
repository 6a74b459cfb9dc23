"""report P: everything measured about one problem, compared on one page and in one table."""

import json
from collections.abc import Sequence

from regatta.errors import RegattaError, nearest, one_line_errors
from regatta.reporting.collecting import collect
from regatta.reporting.page import render_page
from regatta.reporting.ranking import Standing, rank, ranking_rows
from regatta.settings.course import read_course
from regatta.settings.outputs import REPORT
from regatta.whole import whole_folder
from tasks.argument import only_argument


def main(argv: Sequence[str] | None = None) -> None:
    """Write report/P/index.html and report/P/ranking.json, and print the ranking."""
    with one_line_errors():
        problem = only_argument(argv, "python -m tasks.report PROBLEM")
        standings = report(problem)
        print_ranking(standings)
        print(REPORT / problem / "index.html")


def report(problem: str) -> tuple[Standing, ...]:
    """Write the page and the ranking of *problem*; returns the standings, one for each data set.

    Raises:
        RegattaError: params.yaml has no such problem, or a run is not evaluated yet.
    """
    course = read_course()
    known = next((name for name in course.problems if name == problem), None)
    if known is None:
        raise RegattaError(f"params.yaml: no problem '{problem}': {nearest(problem, course.problems)}")
    standings = rank(collect(course, known))
    with whole_folder(REPORT / known) as folder:
        rows = json.dumps(ranking_rows(standings), indent=1, ensure_ascii=False)
        (folder / "ranking.json").write_text(rows + "\n", encoding="utf-8")
        (folder / "index.html").write_text(render_page(known, standings), encoding="utf-8")
    return standings


def print_ranking(standings: Sequence[Standing]) -> None:
    """The rankings as small tables; without lines and colours where nobody looks."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from regatta.reporting.columns import COSTS, score_column

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    shown_costs = [cost for cost in COSTS if cost.key in ("latency_p50_ms", "parameters", "train_s")]
    for standing in standings:
        columns = [score_column(standing.winner.primary), *shown_costs]
        table = Table(
            title=standing.dataset, box=box.SIMPLE if console.is_terminal else None, title_justify="left"
        )
        table.add_column("", justify="right")
        table.add_column("run", style="bold")
        for column in columns:
            table.add_column(column.heading.lower(), justify="right")
        for placed in standing.placed:
            values = [column.text(column.value(placed.result)) for column in columns]
            table.add_row(str(placed.rank), placed.result.run.name, *values)
        console.print(table)


if __name__ == "__main__":
    main()
