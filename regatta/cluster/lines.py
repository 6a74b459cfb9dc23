"""What workers say, brought to the driver's stdout: each line, in order, to the last before a crash.

Ray's own way loses lines that are written just before a worker ends. Here a worker's stdout and stderr
are a file of the run's folder from the start (the descriptors themselves: C code that complains is heard
too), and the driver prints what is added to it. Lines of the leading worker stand as they are, those of
the others begin with their name.
"""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LOOK_EVERY_S = 0.2


def speak_into(folder: Path, rank: int) -> None:
    """Let everything that this process writes to stdout and stderr go to the file of worker *rank*."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{rank}.log"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    if _ends_in_mid_line(path):
        os.write(file, b"\n")  # An attempt before this one was killed while it spoke.
    _flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    # Ray has put streams of its own in their place, which write elsewhere.
    sys.stdout = sys.__stdout__ = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115


def _ends_in_mid_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 1, 0))
        return file.read() not in (b"", b"\n")


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


@contextmanager
def lines_shown(folder: Path) -> Generator[None, None, None]:
    """Print what the workers say while the block runs, to the last line."""
    tails = {path: _Tail(path, path.stat().st_size) for path in folder.glob("*.log")}
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(folder, tails, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(folder: Path, tails: "dict[Path, _Tail]", over: threading.Event) -> None:
    ending = False
    while not ending:
        ending = over.wait(LOOK_EVERY_S)
        for path in sorted(folder.glob("*.log"), key=lambda path: int(path.stem)):
            tails.setdefault(path, _Tail(path, 0)).show(ending)


class _Tail:
    """What is added to one worker's file."""

    def __init__(self, path: Path, position: int) -> None:
        self.path, self.position = path, position
        self.name = "" if path.stem == "0" else f"worker {path.stem} | "

    def show(self, ending: bool) -> None:
        """Print the new lines; a last one without an end only when nothing more can come."""
        with self.path.open("rb") as file:
            file.seek(self.position)
            text = file.read()
        whole = text if ending else text[: text.rfind(b"\n") + 1]
        self.position += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            print(f"{self.name}{line}", flush=True)
