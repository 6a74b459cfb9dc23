"""`python -m flows.reproduce`: `dvc repro` in parallel. Same stages, same command lines, same dvc.lock."""

import argparse
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.processes.leashes import Leashes
from flows.serving.embedded import answers, embedded_server, settings_for
from flows.serving.running import running_services
from flows.stages.dvc_start import DvcStart
from flows.walking.board import board
from regatta.errors import RegattaError, one_line_errors
from regatta.settings.addresses import without_password
from regatta.settings.home import home

if TYPE_CHECKING:
    from flows.walking.course import Plan

Ready = Callable[[], str]
"""Waits until Prefect's server answers; its address."""
DELAY_MAX_S = 86400.0
NAMED_TIMEOUT_S = 10.0
"""For the answer of a server that the user named, on another machine perhaps."""
GONE = "Prefect's server is gone: what was finished is kept; the same command goes on from there"


def main(argv: Sequence[str] | None = None) -> None:
    """Command line. Exit code 0 when all is up to date, 1 when a stage failed, 2 for bad input."""
    options = _parser().parse_args(argv)
    with one_line_errors():
        try:
            sys.exit(_reproduce(options))
        except KeyboardInterrupt:
            print(
                "interrupted: what was finished is kept; the same command goes on from there", file=sys.stderr
            )
            sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.reproduce", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs of params.yaml; none means everything")
    parser.add_argument(
        "--concurrency", type=_from_one, default=2, metavar="N", help="stages at the same time (2)"
    )
    parser.add_argument(
        "--retries", type=_from_zero, default=0, metavar="N", help="further tries of a failed stage (0)"
    )
    parser.add_argument("--retry-delay", type=_delay, default=10, metavar="S", help="seconds before one (10)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting for this time only, like defaults.epochs=5; may be given several times",
    )
    return parser


def _from_one(text: str) -> int:
    return _at_least(1, text)


def _from_zero(text: str) -> int:
    return _at_least(0, text)


def _delay(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= DELAY_MAX_S:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {DELAY_MAX_S:.0f}, found '{text}'")
    return seconds


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, found '{text}'")
    return int(text)


def _reproduce(options: argparse.Namespace) -> int:
    console = Console()
    with ExitStack() as stack:
        # Where nothing was ever made there is something to do: Prefect's server starts beside the plan.
        ready = None if Path("dvc.lock").exists() else stack.enter_context(_prefect())
        from flows.walking.course import planned
        from flows.walking.outcome import card

        plan = stack.enter_context(planned(tuple(options.runs), tuple(options.set)))
        headline, code = "all is up to date", 0
        if not plan.is_done:
            headline, code = _walk(plan, ready or stack.enter_context(_prefect()), options, console)
        console.print(card(plan.root, plan.problems, headline))
    return code


def _walk(plan: "Plan", ready: Ready, options: argparse.Namespace, console: Console) -> tuple[str, int]:
    """The flow run's last word, and the exit code."""
    # Prefect reads its settings when it is imported, and not before there is something to do.
    import httpx

    from flows.flow import run_watched
    from flows.walking.walk import Pace

    pace = Pace(options.concurrency, options.retries, options.retry_delay)
    parameters: dict[str, Any] = {"runs": options.runs, "set": options.set}
    with closing(DvcStart(Leashes())) as dvc:  # A walk ends it too; there may be none.
        dvc.load()  # while the server starts
        ready()
        try:
            with board(console, len(plan.stages)) as listen:
                state = run_watched(plan, pace, listen, dvc, parameters)
        except httpx.TransportError:
            raise RegattaError(GONE) from None
    return state.message or state.name or "", 0 if state.is_completed() else 1


@contextmanager
def _prefect() -> Generator[Ready]:
    """Lead Prefect to the server that the user named, to that of `make services`, or to our own.

    Raises:
        RegattaError: the server that the user named does not answer.
    """
    (home() / "prefect").mkdir(parents=True, exist_ok=True)
    named = os.environ.get("PREFECT_API_URL")
    address = named or running_services().get("PREFECT_API_URL")
    if named and not answers(f"{named}/health", NAMED_TIMEOUT_S):
        shown = without_password(named, named)
        raise RegattaError(
            f"PREFECT_API_URL={shown}: no Prefect answers there; start it, or unset PREFECT_API_URL"
        )
    if address and (named or answers(f"{address}/health")):
        os.environ.update(settings_for(address))
        yield lambda: address
        return
    with embedded_server(Leashes()) as server:
        os.environ.update(settings_for(server.api_url))
        yield server.ready


if __name__ == "__main__":
    main()
