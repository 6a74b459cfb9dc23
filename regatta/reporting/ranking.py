"""Who is ahead, by how much, and how far that can be trusted. Only runs on one data set are compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regatta.reporting.columns import score_column
from regatta.reporting.result import RunResult


@dataclass(frozen=True)
class Placed:
    """A run with its rank among the runs on its data set; equal scores share a rank."""

    rank: int
    result: RunResult


@dataclass(frozen=True)
class Standing:
    """The runs on one data set, best first."""

    dataset: str
    placed: tuple[Placed, ...]

    @property
    def results(self) -> tuple[RunResult, ...]:
        return tuple(placed.result for placed in self.placed)

    @property
    def winner(self) -> RunResult:
        return self.placed[0].result


def rank(results: Sequence[RunResult]) -> tuple[Standing, ...]:
    """One standing for each data set, in the order in which the data sets first occur."""
    datasets = dict.fromkeys(result.run.dataset for result in results)
    return tuple(_stand(name, [r for r in results if r.run.dataset == name]) for name in datasets)


def _stand(dataset: str, results: Sequence[RunResult]) -> Standing:
    # NaN would leave the order to chance; such a run goes last.
    ordered = sorted(results, key=lambda r: -r.score if math.isfinite(r.score) else math.inf)
    scores = [result.score for result in ordered]
    return Standing(dataset, tuple(Placed(scores.index(result.score) + 1, result) for result in ordered))


def ranking_rows(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """The content of ranking.json: best first within each data set."""
    return [_row(placed) for standing in standings for placed in standing.placed]


def _row(placed: Placed) -> dict[str, Any]:
    result = placed.result
    head = {"rank": placed.rank, "run": result.run.name, "family": result.run.family}
    about = {"dataset": result.run.dataset, "primary": result.primary, "score": result.score}
    rest = {"samples": result.samples, **result.scores, "costs": result.costs.model_dump()}
    return head | about | rest


def lead_sentence(standing: Standing) -> str:
    """Who won and by how much: "3.10 points of top-1 ahead of lenet"."""
    label = score_column(standing.winner.primary).label
    rivals = standing.results[1:]
    if not rivals:
        return "the only run on this data set"
    if rivals[0].score == standing.winner.score:
        return f"level with {rivals[0].run.name}"
    points = (standing.winner.score - rivals[0].score) * 100
    return f"{points:.2f} points of {label} ahead of {rivals[0].run.name}"


def trust_sentence(standing: Standing) -> str:
    """How far the lead can be trusted, given the number of test samples and of seeds."""
    seeds = sorted({result.record.settings.seed for result in standing.results})
    seed = f"Trained with one seed ({seeds[0]})" if len(seeds) == 1 else f"Seeds {', '.join(map(str, seeds))}"
    measured = f"Measured on {standing.winner.samples:,} test samples. {seed}"
    return f"{measured}: {_doubt(standing)}."


def _doubt(standing: Standing) -> str:
    if standing.winner.primary != "top1" or not standing.winner.samples:
        return "another seed may swap runs that are close together"
    margin = noise_margin(standing.winner)
    rivals = standing.results[1:]
    near = sum(standing.winner.score - rival.score < margin for rival in rivals)
    limit = f"gaps under about {margin * 100:.1f} points may be chance"
    if not near:
        return limit
    return f"{limit}, and {near} other run{' is' if near == 1 else 's are'} that close to the winner"


def noise_margin(result: RunResult) -> float:
    """Gap between two accuracies that 95 of 100 equal pairs stay under.

    Normal approximation for two independent binomial shares near *result*'s accuracy. The runs share their
    test samples, so the true margin is mostly smaller: this errs on the careful side.
    """
    share = min(max(result.score, 1 / (result.samples + 1)), 1 - 1 / (result.samples + 1))
    return 1.96 * math.sqrt(2 * share * (1 - share) / result.samples)


def quickest_close(standing: Standing, within: float = 0.01) -> RunResult | None:
    """The run of lowest latency among those within *within* of the winner; None when that is the winner."""
    close = [r for r in standing.results if standing.winner.score - r.score <= within]
    timed = [r for r in close if r.costs.latency_p50_ms is not None]
    best = min(timed, key=lambda r: r.costs.latency_p50_ms or 0.0, default=None)
    return None if best is standing.winner else best
