"""DVC's own command line, made patient, kill-proof and quick: `python flows/stages/patient_dvc.py repro …`.

Both drivers run it: the flow for each of its stages, and the user, for the Makefile puts it in the place of
`.venv/bin/dvc`. Five things of DVC 3.67 are altered, in `main` and nowhere else:

- A stage that another DVC is at makes `dvc repro` fail at once, whatever `--wait-for-lock` says
  (dvc/rwlock.py, `_check_blockers`); no setting and no option changes that. Here it is waited for.
- dvc.lock and the table of who is at what are written in place: a kill in that moment leaves them torn, and
  every later DVC refuses to start. Here they are written beside their place, and a table that an unaltered
  DVC left torn is put away.
- The lock of the project, which a DVC holds for a moment before and after each command, is looked for twice a
  second: of two stages that end together one waits for nothing. Here it is looked for twenty times as often.
- For each stage all of dvc.lock is read, and then, while the whole project is locked, read and written by a
  YAML that keeps comments: 0.2 and 1.4 of the 2.3 s that DVC takes for a stage among 64 runs. Here only what
  is about that stage is read and written anew, and the rest of the text is left as it stands
  (flows/stages/lock_in_part.py).
- Each command is a Python of its own, which imports torch and its like again. Here it is a fork of a process
  that has them (flows/stages/step.py): with the lock, five to six of the 32 s that a flow of one short run
  took.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Protocol

import dvc.dvcfile
import dvc.lock
import dvc.stage.run
from dvc.cli import main as dvc_main
from dvc.dvcfile import Lockfile
from dvc.exceptions import ReproductionError
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLockFileCorruptedError
from dvc.stage.exceptions import StageCmdFailedError
from dvc_objects.fs.local import LocalFileSystem

# Out of reach of a file that is run by itself, and what else lies there must not be taken for DVC's packages.
sys.path.append(str(Path(__file__).parents[2]))
from flows.stages.lock_in_part import LOCK, modify_in_part, read_in_part
from flows.stages.step import Step, step_in
from flows.stages.step_server import StepServer
from regatta.whole import whole_file

sys.path.pop()

LOOK_EVERY_S = 0.5
LOOK_FOR_LOCK_EVERY_S = 0.025
LOOKS = 6
"""So many, DVC thinks, make up the time after which it gives up; it never does where it is told to wait."""
WRITTEN_WHOLE = (LOCK, RWLOCK_FILE)


class Steps(Protocol):
    """Who can run steps without a shell."""

    def runner(self, step: Step) -> Callable[[], int] | None:
        """What runs it, as soon as it can be run at once; None where it is to be left to a shell.

        What runs it gives its exit code, or minus the signal that ended it.
        """
        ...

    def close(self) -> None: ...


def main(steps: Steps | None = None) -> None:
    """Run DVC with this process's arguments; exit with its code. *steps*: else a server of its own."""
    setattr(Repo, "reproduce", patient(Repo.reproduce))  # noqa: B010 (its type forbids assigning)
    setattr(LocalFileSystem, "open", whole(LocalFileSystem.open))  # noqa: B010
    setattr(dvc.dvcfile, "modify_yaml", modify_in_part)  # noqa: B010
    setattr(Lockfile, "_load_yaml", read_in_part(getattr(Lockfile, "_load_yaml")))  # noqa: B009, B010 (private)
    setattr(dvc.lock, "DEFAULT_TIMEOUT", LOOKS * LOOK_FOR_LOCK_EVERY_S)  # noqa: B010
    with _steps(steps) as ready:
        if ready is not None:
            run = getattr(dvc.stage.run, "_run")  # noqa: B009 (private)
            setattr(dvc.stage.run, "_run", offered_to(ready, run))  # noqa: B010
        # DVC waits three seconds for the lock of the project, or without end when told so before the command.
        sys.exit(dvc_main(["--wait-for-lock", *sys.argv[1:]]))


def _steps(given: Steps | None) -> AbstractContextManager[Steps | None]:
    """Those *given*, else a server for as long as a `dvc repro` takes; where forking is safe."""
    if given is None and sys.platform == "linux" and "repro" in sys.argv:
        return closing(StepServer())
    return nullcontext(given)


def offered_to(steps: Steps, run_in_shell: Callable[..., None]) -> Callable[..., None]:
    """*run_in_shell*, DVC's way of running a command line, for those that *steps* have no runner of."""

    def run(executable: str | None, command_line: str, **how: Any) -> None:
        step = step_in(command_line, how["cwd"], how["env"])
        runner = None if step is None else steps.runner(step)
        if runner is None:
            run_in_shell(executable, command_line, **how)
            return
        with _uninterrupted():
            code = runner()
        if code != 0:
            raise StageCmdFailedError(command_line, code)

    return run


@contextmanager
def _uninterrupted() -> Generator[None]:
    """As DVC does while a command runs: Ctrl-C is the command's, and DVC hears of it by its exit code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
    with whole_file(path) as partial, partial.open(mode, encoding=encoding) as file:
        yield file


if __name__ == "__main__":
    main()
