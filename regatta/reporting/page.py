"""One self-contained HTML page about a problem: no network, no other files, light and dark, any width."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from regatta.reporting import particulars, sections
from regatta.reporting.columns import COSTS, Column
from regatta.reporting.curves import CurveChart, curve_charts
from regatta.reporting.palette import VOID_RGB, class_rgb
from regatta.reporting.ranking import Placed, Standing, lead_sentence, quickest_close, trust_sentence
from regatta.reporting.result import RunResult
from regatta.reporting.scatter import Scatter, scatter

TEMPLATES = Path(__file__).parent / "templates"
_SCATTERED = ("latency_p50_ms", "train_s")
_EXTREMES_MAX = 80
"""Best and worst samples of all runs together: fifty runs must not make a page of fifty megabytes."""


@dataclass(frozen=True)
class RunSection:
    """What the page shows of one run alone."""

    placed: Placed
    facts: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    curves: list[CurveChart]
    confusion: sections.Confusion
    best: list[sections.Seen]
    worst: list[sections.Seen]


@dataclass(frozen=True)
class Race:
    """What the page shows of all runs on one data set."""

    standing: Standing
    lead: str
    trust: str
    quickest: RunResult | None
    columns: list[tuple[Column, float | None]]
    """With the best value of each."""
    scatters: list[Scatter]
    curves: list[CurveChart]
    heat: sections.Heat | None
    samples: list[tuple[sections.Seen, list[sections.Seen | None]]]
    class_colours: list[tuple[str, str]]
    """Names and CSS colours of what label maps show; empty for classification."""
    runs: list[RunSection]


def render_page(problem: str, standings: Sequence[Standing]) -> str:
    """The page, as text. Everything that comes from data is escaped.

    Its content security policy allows the page's own script by its hash and nothing else: no request can
    leave it, and no markup in a class's name could ever run.

    Raises:
        RegattaError: a sample's picture is missing or broken.
    """
    count = sum(len(standing.placed) for standing in standings)
    extremes = max(1, min(4, _EXTREMES_MAX // (2 * count)))
    colours = {r.run.name: place for standing in standings for place, r in enumerate(standing.results)}
    races = [_race(standing, colours, extremes) for standing in standings]
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return _page_template().render(
        problem=problem,
        races=races,
        colours=colours,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _page_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _race(standing: Standing, colours: Mapping[str, int], extremes: int) -> Race:
    results = standing.results
    charts = [scatter(results, cost, colours) for cost in COSTS if cost.key in _SCATTERED]
    return Race(
        standing=standing,
        lead=lead_sentence(standing),
        trust=trust_sentence(standing),
        quickest=quickest_close(standing),
        columns=[
            (column, sections.best_value(column, results)) for column in sections.shown_columns(results)
        ],
        scatters=[chart for chart in charts if chart is not None],
        curves=curve_charts(results, colours),
        heat=sections.heat(results),
        samples=sections.side_by_side(results),
        class_colours=_class_colours(standing.winner),
        runs=[_run_section(placed, extremes) for placed in standing.placed],
    )


def _run_section(placed: Placed, extremes: int) -> RunSection:
    result = placed.result
    return RunSection(
        placed=placed,
        facts=particulars.facts(result),
        settings=particulars.settings(result),
        curves=curve_charts([result], {result.run.name: 0}),
        confusion=sections.confusion(result),
        best=sections.extremes(result, "best", extremes),
        worst=sections.extremes(result, "worst", extremes),
    )


def _class_colours(result: RunResult) -> list[tuple[str, str]]:
    if result.run.problem != "segmentation":
        return []
    named = [(name, class_rgb(label)) for label, name in enumerate(result.record.classes)]
    if result.record.ignore_label is not None:
        named.append(("not scored", VOID_RGB))
    return [(name, f"rgb{colour}") for name, colour in named]
