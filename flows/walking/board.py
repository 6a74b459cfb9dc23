"""What a walk shows while it goes: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.walking.events import Event, Listen

MARKS = {"done": "[green]✓[/]", "cached": "[blue]·[/]", "failed": "[red]✗[/]", "not run": "[yellow]–[/]"}


@contextmanager
def board(console: Console, stage_count: int) -> Generator[Listen]:
    """Something to tell events to, for as long as the block lasts."""
    if not console.is_terminal:
        yield _plain(console)
        return
    rows = _Rows(stage_count)
    with Live(get_renderable=rows.table, console=console, refresh_per_second=4, transient=True) as live:

        def listen(event: Event) -> None:
            if rows.hear(event):
                live.console.print(_ending_line(event))

        yield listen


def _plain(console: Console) -> Listen:
    lock = threading.Lock()

    def listen(event: Event) -> None:
        if event.kind in ("passing", "cached"):
            return
        text = event.text if event.kind == "line" else f"{event.kind}{': ' if event.text else ''}{event.text}"
        with lock:
            console.out(f"{event.stage} | {text}", highlight=False)

    return listen


def _ending_line(event: Event) -> Text:
    line = Text.from_markup(f"{MARKS[event.kind]} ") + Text(event.stage)
    return line + Text(f"  {event.text}", style="red") if event.text else line


class _Rows:
    """The stages that are running, and how many have ended in which way."""

    def __init__(self, stage_count: int) -> None:
        self._stage_count = stage_count
        self._started_s = time.monotonic()
        self._running: dict[str, tuple[float, str]] = {}
        self._endings: Counter[str] = Counter()
        self._lock = threading.Lock()

    def hear(self, event: Event) -> bool:
        """Take note; whether the event deserves a line that stays."""
        with self._lock:
            if event.kind == "started":
                self._running[event.stage] = (time.monotonic(), "")
            elif event.kind in ("line", "passing"):
                since_s, last = self._running.get(event.stage, (time.monotonic(), ""))
                self._running[event.stage] = (since_s, event.text.strip() or last)
            else:
                self._running.pop(event.stage, None)
                self._endings[event.kind] += 1
                return event.kind != "cached"
        return False

    def table(self) -> Group:
        """One row per running stage: name, how long, its last line; below, the count of all."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        with self._lock:
            for name, (since_s, last) in self._running.items():
                table.add_row(name, clock(time.monotonic() - since_s), Text(last))
            ended, counts = self._endings.total(), dict(self._endings)
        spread = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        elapsed = clock(time.monotonic() - self._started_s)
        return Group(table, Text(f"{ended}/{self._stage_count} stages  {elapsed}  {spread}", style="dim"))


def clock(seconds: float) -> str:
    """Minutes and seconds, as on a stopwatch."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
