"""The graph of the course, read from DVC: dvc.yaml is the only place that holds it."""

import logging
import shutil
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

from regatta.errors import RegattaError

RUN_STAGES = ("train", "evaluate")
PROBLEM_STAGES = ("report", "track")


@dataclass(frozen=True)
class Stage:
    """One stage as DVC names it (`train@lenet`), and what has to be done before it."""

    name: str
    upstream: tuple[str, ...]
    changed: bool
    """DVC would run it, or at least restore its outputs, as things lie now."""


def read_stages(root: Path) -> tuple[Stage, ...]:
    """All stages of the project at *root*, each after those it needs.

    Raises:
        RegattaError: DVC cannot read dvc.yaml or what it refers to.
    """
    with locked(root) as repo:
        graph = repo.index.graph
        stages = {_name(stage): stage for stage in graph}
        changed = {name: _is_changed(stages, name) for name in stages}
        return tuple(
            Stage(_name(stage), tuple(sorted(map(_name, graph.successors(stage)))), changed[_name(stage)])
            for stage in _in_order(repo)
        )


def changed_now(root: Path, names: Collection[str]) -> set[str]:
    """Those of *names* that DVC would run or restore, looked up afresh; the others are not looked at."""
    with locked(root) as repo:
        stages = load_file(repo, str(root / "dvc.yaml")).stages
        return {name for name in names if _is_changed(stages, name)}


def select(stages: Iterable[Stage], problems: Mapping[str, str]) -> tuple[Stage, ...]:
    """The stages for some runs: their own, all those upstream, and their problems' reports.

    Args:
        problems: the name of each run wanted, and the problem it is about.
    """
    stages = tuple(stages)
    wanted = {f"{kind}@{run}" for kind in RUN_STAGES for run in problems}
    # Upstream of a run only: a report needs every run of its problem, and shows those there are.
    for stage in reversed(stages):
        wanted |= set(stage.upstream) if stage.name in wanted else set()
    wanted |= {f"{kind}@{problem}" for kind in PROBLEM_STAGES for problem in problems.values()}
    return tuple(stage for stage in stages if stage.name in wanted)


def cache_folder(root: Path) -> Path:
    """Absolute path of the DVC cache that the project at *root* uses."""
    with locked(root) as repo:
        return Path(repo.cache.local_cache_dir).absolute()


def copy_results(root: Path, workspace: Path) -> None:
    """Give *workspace* the results of *root* that dvc.lock names and the shared cache holds.

    One checkout of all of them takes a second; restoring stage by stage would start DVC for each.
    What does not fit the workspace's settings is then found changed, and made anew.
    """
    with locked(root):
        if not (root / "dvc.lock").exists():
            return
        shutil.copyfile(root / "dvc.lock", workspace / "dvc.lock")
    with locked(workspace) as repo:
        repo.checkout(allow_missing=True, force=True)


@contextmanager
def locked(root: Path) -> Generator[Any]:
    """The project at *root*, while no other DVC writes there; waits for its turn."""
    # DVC's progress bars would draw over ours.
    logging.getLogger("dvc.progress").setLevel(logging.CRITICAL)
    try:
        with Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
            yield repo
    except DvcException as fault:
        raise RegattaError(f"{root / 'dvc.yaml'}: {fault}; 'dvc status' tells more") from None


def _name(stage: Any) -> str:
    """Without the path that DVC's own `addressing` puts first when it runs elsewhere."""
    return getattr(stage, "name", None) or stage.relpath


def _is_changed(stages: Mapping[str, Any], name: str) -> bool:
    try:
        return bool(stages[name].status(check_updates=False))
    except DvcException:  # e.g. somebody else is writing its outputs: then let DVC decide later.
        return True


def _in_order(repo: Any) -> list[Any]:
    """Stages after those they need, just as `dvc repro` would go through them."""
    everything = collect_stages(repo, [str(Path(repo.root_dir) / "dvc.yaml")])
    return plan_repro(get_active_graph(repo.index.graph), everything)
