"""Work spread over processes that are forked from this one: nothing is sent to them, nothing imported."""

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from regatta.allocation import keep_freed_memory
from regatta.errors import RegattaError

Work = Callable[[int], Any]
T = TypeVar("T")


def in_order(work: Callable[[int], T], numbers: Sequence[int], processes: int) -> Generator[T]:
    """work(number) for each of *numbers*, by so many *processes*; where it is one, by this one.

    *work* may hold whatever this process holds; what it returns or raises is pickled.

    Raises:
        RegattaError: one of the processes was killed.
    """
    processes = min(processes, len(numbers))
    if processes <= 1:
        yield from map(work, numbers)
        return
    with ExitStack() as stack:
        pipes: list[Connection] = []
        for first in range(processes):
            pipes.append(_started(work, numbers[first::processes], pipes, stack))
        for at in range(len(numbers)):
            yield _received(pipes[at % processes])


def _started(
    work: Work, numbers: Sequence[int], others: Sequence[Connection], stack: ExitStack
) -> Connection:
    """A process at work, which ends with the *stack* at the latest: the pipe that its answers come from."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, numbers, theirs, [*others, ours]), daemon=True)
    process.start()
    theirs.close()
    for end in (process.join, process.kill, ours.close):  # the last comes first
        stack.callback(end)
    return ours


def _answer(work: Work, numbers: Sequence[int], pipe: Connection, readers: Sequence[Connection]) -> None:
    gc.freeze()  # To look through what was there before would copy all its pages.
    keep_freed_memory()  # The next picture is as large as this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer.
    for reader in readers:
        reader.close()  # Once the parent is gone, nobody reads, and the next answer ends this process.
    try:
        for number in numbers:
            pipe.send((work(number), None))
    except BrokenPipeError:
        pass
    except Exception as fault:
        fault.add_note(traceback.format_exc())
        pipe.send((None, fault))


def _received(pipe: Connection) -> Any:
    try:
        answer, fault = pipe.recv()
    except EOFError:
        raise RegattaError(
            "one of the processes at work was killed: free some memory, then run the command again"
        ) from None
    if fault is not None:
        raise fault
    return answer
