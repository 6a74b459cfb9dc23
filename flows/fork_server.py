"""Has DVC loaded, and is forked for each stage: `python -m flows.fork_server NUMBER`.

NUMBER is a socket. A message on it is an order, {"arguments": […], "folder": …}, with three open files: the
leash, the output, and where the exit code goes. What is forked first is the leash, as `flows/leash.py` is for
commands, and that forks the DVC: both promise what they promise elsewhere. This process ends when nobody is
left to give orders.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

import configobj
from dvc import analytics, cachemgr, data_cloud, dirs
from dvc.cli import parser
from dvc_data.hashfile.db import local
from fsspec.implementations import memory
from pyparsing import core
from ruamel import yaml
from scmrepo import git

from flows import leash, patient_dvc

LOADED = (analytics, cachemgr, configobj, core, data_cloud, dirs, git, local, memory, parser, yaml)
"""What DVC would import when it needs it: in each fork again."""
ORDER_BYTES, FILES = 65536, 3


def main() -> None:
    """Take orders until there is nobody to give any."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    del sys.path[0]  # What lies in the project must not be taken for a package of DVC's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _bury)
    gc.freeze()
    while True:
        order, files, _, _ = socket.recv_fds(channel, ORDER_BYTES, FILES)
        if not order:
            return
        if os.fork() == 0:
            channel.close()
            _lead(json.loads(order), *files)
        for file in files:
            os.close(file)


def _bury(*_: object) -> None:
    """Exit codes go another way; what the dead cost is to be counted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _lead(order: Mapping[str, Any], holder: int, output: int, answer: int) -> NoReturn:
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
            _be_dvc(order)
        os.write(answer, str(leash.hold(dvc_pid, ended)).encode())
    finally:
        os._exit(0)


def _be_dvc(order: Mapping[str, Any]) -> NoReturn:
    """As a process that was started would be: in a session of its own, without input, ended by SIGTERM."""
    code: Any = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(order["folder"])
        sys.argv = ["dvc", *order["arguments"]]
        patient_dvc.main()
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
