"""What a walk leaves to look at: rankings, pages and links, as a card for a terminal and as markdown."""

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from regatta.settings.addresses import tracking_uri, without_password
from regatta.settings.home import home
from regatta.settings.outputs import REPORT


@dataclass(frozen=True)
class Outcome:
    """What there is to see about one problem."""

    problem: str
    ranking: tuple[dict[str, Any], ...]
    """Rows of ranking.json, best first."""
    page: Path
    links: dict[str, str]
    """Address in MLflow of each run that has one."""
    experiment_url: str | None


def read_outcome(root: Path, problem: str) -> Outcome | None:
    """What lies at *root* about *problem*; None before its first report."""
    folder = root / REPORT / problem
    ranking = _read_json(folder / "ranking.json")
    if not ranking:
        return None
    links = _read_json(home() / "links" / f"{problem}.json") or {}
    runs = {name: f"{mlflow_pages()}/{place}" for name, place in links.get("runs", {}).items()}
    experiment = links.get("experiment_url")
    experiment_url = f"{mlflow_pages()}/{experiment}" if experiment else None
    return Outcome(problem, tuple(ranking), folder / "index.html", runs, experiment_url)


def mlflow_pages() -> str:
    """Where MLflow shows what was tracked: the server's own address, else that of `make ui`."""
    uri = tracking_uri()
    return without_password(uri, uri).rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def card(root: Path, problems: tuple[str, ...], headline: str) -> Panel:
    """What the user sees last."""
    parts: list[Any] = [Text(headline, style="bold")]
    for problem in problems:
        outcome = read_outcome(root, problem)
        if outcome:
            parts += [Text(), _table(outcome), Text(f"report: {_short(outcome.page)}", overflow="fold")]
    parts += [Text(), Text("every run, every curve:  make ui  (MLflow)")]
    return Panel(Group(*parts), title="regatta", title_align="left", expand=False)


def _table(outcome: Outcome) -> Table:
    table = Table(
        title=outcome.problem, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0)
    )
    table.add_column("", justify="right")
    for name in ("run", "family", "data set"):
        table.add_column(name)
    table.add_column(str(outcome.ranking[0].get("primary", "score")), justify="right")
    for row in outcome.ranking:
        table.add_row(*_cells(row))
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    score = row.get("score")
    shown = f"{score:.4f}" if isinstance(score, float) else str(score)
    return [str(row.get("rank", "")), *(str(row.get(key, "")) for key in ("run", "family", "dataset")), shown]


def markdown(outcome: Outcome) -> str:
    """The same for Prefect's artifact, with links to the runs in MLflow. What comes from files is text."""
    primary = _as_text(str(outcome.ranking[0].get("primary", "score")))
    lines = [
        f"## {outcome.problem}",
        "",
        f"| | run | family | data set | {primary} |",
        "|--:|---|---|---|--:|",
    ]
    for row in outcome.ranking:
        rank, run, family, dataset, score = map(_as_text, _cells(row))
        address = outcome.links.get(str(row.get("run")))
        lines.append(
            f"| {rank} | {f'[{run}]({address})' if address else run} | {family} | {dataset} | {score} |"
        )
    lines += ["", f"Report: `{outcome.page}`"]
    if outcome.experiment_url:
        lines += ["", f"[All runs in MLflow]({outcome.experiment_url})"]
    return "\n".join(lines)


def _as_text(cell: str) -> str:
    """What markdown, and the HTML that may stand in it, show as *cell*."""
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", html.escape(" ".join(cell.split()), quote=False))


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
