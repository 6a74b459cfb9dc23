"""Has DVC loaded, and is forked for each stage: `python -m flows.stages.fork_server LIGHT HEAVY`.

Both are numbers of sockets. A message on one is an order, {"arguments": […], "folder": …}, with three open
files: the leash, the output, and where the exit code goes. What is forked first is the leash, as
`flows/processes/leash.py` is for commands, and that forks the DVC: both promise what they promise elsewhere.
This process ends when nobody is left to give orders.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, NoReturn

import configobj
from dvc import analytics, cachemgr, data_cloud, dirs
from dvc.cli import parser
from dvc_data.hashfile.db import local
from fsspec.implementations import memory
from pyparsing import core
from ruamel import yaml
from scmrepo import git

from flows.processes import leash
from flows.stages import patient_dvc
from flows.stages.prefork import Preforked, Wish
from flows.stages.step_server import load_libraries

LOADED = (analytics, cachemgr, configobj, core, data_cloud, dirs, git, local, memory, parser, yaml)
"""What DVC would import when it needs it: in each fork again."""
ORDER_BYTES, FILES = 65536, 3

Steps = Callable[[], Preforked | Wish]
"""Made by each DVC when it begins."""


def main() -> None:
    """Take orders until there is nobody to give any."""
    light, heavy = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    del sys.path[0]  # What lies in the project must not be taken for a package of DVC's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _bury)
    # Of a library's thread that takes care of memory, and of nothing that a fork would miss.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    gc.freeze()
    wanted, want = os.pipe()
    wish = partial(Wish, want)
    if _serve([light, heavy], wish, until=wanted):
        with _stand_in(light, wish):
            is_loaded = load_libraries()
        gc.freeze()
        _serve([light, heavy], Preforked if is_loaded else wish)


@contextmanager
def _stand_in(light: socket.socket, steps: Steps) -> Generator[None]:
    """A fork that takes light orders during the block."""
    ended, end = os.pipe()
    if os.fork() == 0:
        os.close(end)
        _serve([light], steps, until=ended)
        os._exit(0)
    os.close(ended)
    try:
        yield
    finally:
        os.close(end)


def _serve(channels: Sequence[socket.socket], steps: Steps, until: int | None = None) -> bool:
    """Fork a DVC for each order: true once *until* can be read, false when nobody is left to order."""
    while True:
        watched = [*(channel.fileno() for channel in channels), *([] if until is None else [until])]
        readable, _, _ = select.select(watched, [], [])
        if until in readable:
            return True
        channel = next(channel for channel in channels if channel.fileno() in readable)
        try:
            order, files, _, _ = socket.recv_fds(channel, ORDER_BYTES, FILES, socket.MSG_DONTWAIT)
        except BlockingIOError:  # The stand-in has taken it.
            continue
        if not order:
            return False
        if _is_child(files):
            for other in channels:
                other.close()
            _lead(json.loads(order), steps, *files)
        for file in files:
            os.close(file)


def _is_child(files: Sequence[int]) -> bool:
    """Fork; where that cannot be done, say so where the DVC would speak: it has failed then, and no other."""
    try:
        return os.fork() == 0
    except OSError as fault:
        said = f"error: cannot start DVC: {fault}: end other processes, then run the command again\n"
        os.write(files[1], said.encode())
        return False


def _bury(*_: object) -> None:
    """Exit codes go another way; what the dead cost is to be counted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _lead(order: Mapping[str, Any], steps: Steps, holder: int, output: int, answer: int) -> NoReturn:
    """Be the leash of a DVC, and answer with its exit code once its whole tree is gone."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for file, number in ((holder, 0), (output, 1), (output, 2)):
            os.dup2(file, number)
        os.close(holder)
        os.close(output)
        ended = leash.take_hold()
        dvc_pid = os.fork()
        if dvc_pid == 0:
            os.close(answer)
            _be_dvc(order, steps)
        os.write(answer, str(leash.hold(dvc_pid, ended)).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _be_dvc(order: Mapping[str, Any], steps: Steps) -> NoReturn:
    """As a process that was started would be: in a session of its own, without input, ended by SIGTERM."""
    code: Any = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(order["folder"])
        sys.argv = ["dvc", *order["arguments"]]
        with closing(steps()) as ready:
            patient_dvc.main(ready)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
