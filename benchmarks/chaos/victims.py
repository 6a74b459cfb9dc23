"""Whom to kill: found among the trial's own processes by what they were started with."""

from collections.abc import Callable, Sequence

from psutil import Process

from benchmarks.chaos.processes import command, having

Choose = Callable[[Sequence[Process], int, int], list[Process]]
"""From the trial's living processes, the process id of the command itself, and a number that was drawn."""


def _root(alive: Sequence[Process], root: int, drawn: int) -> list[Process]:
    return [process for process in alive if process.pid == root]


def _all(alive: Sequence[Process], root: int, drawn: int) -> list[Process]:
    return list(alive)


def _started_with(argument: str) -> Choose:
    return lambda alive, root, drawn: list(filter(having(argument), alive))


def workers_of(alive: Sequence[Process]) -> list[Process]:
    """Ray Train's workers."""
    return [p for p in alive if any(word.startswith("ray::RayTrainWorker") for word in command(p))]


def _workers(alive: Sequence[Process], root: int, drawn: int) -> list[Process]:
    return workers_of(alive)


def _one_worker(alive: Sequence[Process], root: int, drawn: int) -> list[Process]:
    found = sorted(_workers(alive, root, drawn), key=lambda process: process.pid)
    return [found[drawn % len(found)]] if found else []


def _raylet(alive: Sequence[Process], root: int, drawn: int) -> list[Process]:
    """The node that the workers are on: the head has no room for any."""
    nodes = {worker.ppid() for worker in _workers(alive, root, drawn)}
    return [process for process in alive if process.pid in nodes]


def _one_fork(alive: Sequence[Process], root: int, drawn: int) -> list[Process]:
    """The flow's fork server, the leash of a stage that it forked, or the DVC on that."""
    found = sorted(filter(having("flows.stages.fork_server"), alive), key=lambda process: process.pid)
    return [found[drawn % len(found)]] if found else []


VICTIMS: dict[str, Choose] = {
    "stage": _started_with("tasks.train"),
    "download": _started_with("tasks.download"),
    "root": _root,
    "all": _all,
    "server": _started_with("flows.serving.prefect_socket"),
    "fork": _one_fork,
    "worker": _one_worker,
    "group": _workers,
    "raylet": _raylet,
}
