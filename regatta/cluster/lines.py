"""Lines that workers say, brought to the driver's stdout in order, through files of the run's folder.

Ray's own way loses lines that are said just before a worker ends.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LOOK_EVERY_S = 0.2


def say_into(folder: Path, rank: int, line: str) -> None:
    """Add *line* to the file of worker *rank*."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{rank}.log").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def lines_shown(folder: Path) -> Generator[None, None, None]:
    """Print what the workers say while the block runs, to the last line."""
    positions = {path: path.stat().st_size for path in folder.glob("*.log")}
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(folder, positions, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(folder: Path, positions: dict[Path, int], over: threading.Event) -> None:
    ending = False
    while not ending:
        ending = over.wait(LOOK_EVERY_S)
        for path in sorted(folder.glob("*.log")):
            with path.open("rb") as file:
                file.seek(positions.get(path, 0))
                text = file.read()
            whole = text if ending else text[: text.rfind(b"\n") + 1]
            positions[path] = positions.get(path, 0) + len(whole)
            if whole:
                print(whole.decode(errors="replace"), end="", flush=True)
