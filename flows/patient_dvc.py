"""DVC's own command line, made patient, kill-proof and quick: `python flows/patient_dvc.py repro …`.

Both drivers run it: the flow for each of its stages, and the user, for the Makefile puts it in the place of
`.venv/bin/dvc`. Three things of DVC 3.67 are altered, in `main` and nowhere else:

- A stage that another DVC is at makes `dvc repro` fail at once, whatever `--wait-for-lock` says
  (dvc/rwlock.py, `_check_blockers`); no setting and no option changes that. Here it is waited for.
- dvc.lock and the table of who is at what are written in place: a kill in that moment leaves them torn, and
  every later DVC refuses to start. Here they are written beside their place, and a table that an unaltered
  DVC left torn is put away.
- After each stage all of dvc.lock is read and written by a YAML that keeps comments, and while the whole
  project is locked: 1.4 of the 2.3 s that DVC takes for a stage among 64 runs. Here only what is about that
  stage is written anew, and the rest of the text is left as it stands.
"""

# ruff: noqa: E402
import atexit
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

# As regatta/garbage.py does, which is out of reach here: a third of what a stage costs that is up to date.
gc.set_threshold(50_000, 20, 100)
atexit.register(gc.freeze)

import dvc.dvcfile
from dvc.cli import main as dvc_main
from dvc.exceptions import ReproductionError
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLockFileCorruptedError
from dvc.utils.serialize import dumps_yaml, modify_yaml, parse_yaml
from dvc_objects.fs.local import LocalFileSystem

LOOK_EVERY_S = 0.5
LOCK = "dvc.lock"
WRITTEN_WHOLE = (LOCK, RWLOCK_FILE)
ENTRY = re.compile(r"^(?=  \S)", re.MULTILINE)
"""Where the entry of a stage begins: two columns in, and all that is about it further."""


def main() -> None:
    """Run DVC with this process's arguments; exit with its code."""
    setattr(Repo, "reproduce", patient(Repo.reproduce))  # noqa: B010 (its type forbids assigning)
    setattr(LocalFileSystem, "open", whole(LocalFileSystem.open))  # noqa: B010
    setattr(dvc.dvcfile, "modify_yaml", modify_in_part)  # noqa: B010
    # DVC waits three seconds for the lock of the project, or without end when told so before the command.
    sys.exit(dvc_main(["--wait-for-lock", *sys.argv[1:]]))


def patient(reproduce: Callable[..., Any]) -> Callable[..., Any]:
    """*reproduce*, begun again for as long as a stage is busy.

    A busy stage is noticed before anything of it is touched, and those before it are up to date by then:
    beginning again costs a look at them, and sees what the other DVC has finished meanwhile.
    """

    def patiently(repo: Any, *args: Any, **kwargs: Any) -> Any:
        told: set[str] = set()
        while True:
            try:
                return reproduce(repo, *args, **kwargs)
            except ReproductionError as fault:
                if isinstance(fault.__cause__, RWLockFileCorruptedError):
                    _put_away_torn(repo)
                elif isinstance(fault.__cause__, LockError):
                    _tell_once(str(fault), told)
                    time.sleep(LOOK_EVERY_S)
                else:
                    raise

    return patiently


def _tell_once(failure: str, told: set[str]) -> None:
    stage = failure.removeprefix("failed to reproduce ").strip("'")
    if stage not in told:
        print(f"{stage}: another start is at it, or at what it needs: waiting", flush=True)
    told.add(stage)


def _put_away_torn(repo: Any) -> None:
    # Nobody writes the table without the project's lock.
    with repo.lock:
        (Path(repo.tmp_dir) / RWLOCK_FILE).unlink(missing_ok=True)


def whole(open_in_place: Callable[..., Any]) -> Callable[..., Any]:
    """*open_in_place*, but the files that must never be torn are written beside their place and renamed."""

    def open_whole(fs: Any, path: Any, mode: str = "r", encoding: str | None = None, **more: Any) -> Any:
        if mode.startswith("w") and Path(path).name in WRITTEN_WHOLE:
            return _written_whole(Path(path), mode, encoding)
        return open_in_place(fs, path, mode=mode, encoding=encoding, **more)

    return open_whole


@contextmanager
def _written_whole(path: Path, mode: str, encoding: str | None) -> Generator[IO[Any]]:
    # Both are written under a lock, so that these are of processes that were killed.
    for left in path.parent.glob(f".{path.name}.partial-*"):
        left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with partial.open(mode, encoding=encoding) as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def modify_in_part(path: Any, fs: Any = None) -> Generator[Any]:
    """As DVC's `modify_yaml`; of dvc.lock, only the entries that the block has set are written anew."""
    if Path(path).name != LOCK or not Path(path).exists():
        with modify_yaml(path, fs=fs) as content:
            yield content
        return
    text = Path(path).read_text(encoding="utf-8")
    content: Any = parse_yaml(text, path)
    before: dict[str, Any] = dict(content.get("stages") or {})
    yield content
    result = spliced(text, before, content["stages"]) if content.keys() == {"schema", "stages"} else None
    with fs.open(path, "w", encoding="utf-8") as file:
        file.write(dumps_yaml(content) if result is None else result)


def spliced(text: str, before: Mapping[str, Any], stages: Mapping[str, Any]) -> str | None:
    """*text* of a dvc.lock about *before*, with the entries of *stages* that it does not have yet.

    They come in the place of the former ones, else at the end. None when the text is laid out in another way
    than DVC does.
    """
    head, mark, tail = text.partition("\nstages:\n")
    entries = ENTRY.split(tail)[1:]
    keys = [entry.partition("\n")[0] for entry in entries]
    if keys != [f"  {name}:" for name in before] or "".join(entries) != tail or not tail.endswith("\n"):
        return None
    of = dict(zip(before, entries, strict=True))
    for name, entry in stages.items():
        if before.get(name) is not entry:
            of[name] = dumps_yaml({"stages": {name: entry}}).removeprefix("stages:\n")
    return "".join([head, mark, *of.values()])


if __name__ == "__main__":
    main()
