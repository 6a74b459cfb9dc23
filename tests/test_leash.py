"""A command on the leash: its lines, its exit code, and the end of everything that it started."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from flows.processes.leashes import Leashes, StageFailed
from flows.processes.lines import read_lines
from tests.toy import mark, marked, toy_env, wait_until


def lines_of(command: Sequence[str], folder: Path) -> tuple[list[str], list[str], int]:
    """Lines that stay, lines that pass, exit code."""
    stay: list[str] = []
    passing: list[str] = []
    leashes = Leashes()
    process = leashes.start(command, folder, toy_env(folder))
    read_lines(process, lambda line, passes: (passing if passes else stay).append(line))
    return stay, passing, leashes.end(process)


def test_lines_arrive_whole_and_in_order(tmp_path: Path) -> None:
    code = "import sys\nfor n in range(5000): print(n, 'ü'); print(n, file=sys.stderr, flush=True)\n"
    code += "sys.stdout.flush(); sys.stdout.write('no newline'); sys.exit(7)"
    stay, _, exit_code = lines_of([sys.executable, "-u", "-c", code], tmp_path)
    assert stay == [text for n in range(5000) for text in (f"{n} ü", f"{n}")] + ["no newline"]
    assert exit_code == 7


def test_carriage_returns_are_passing_until_the_line_ends(tmp_path: Path) -> None:
    code = "import sys, time\nfor text in ('1%', '\\r2%', '\\r3%\\r', '\\ndone\\r\\n', 'last'):\n"
    code += "    sys.stdout.write(text); sys.stdout.flush(); time.sleep(0.1)"
    stay, passing, _ = lines_of([sys.executable, "-c", code], tmp_path)
    assert stay == ["3%", "done", "last"]
    assert passing == ["2%", "3%"]


STUBBORN = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
else:
    subprocess.Popen([sys.executable, __file__, "child"], start_new_session=True)
    print("started", flush=True)
time.sleep(600)
"""


def test_the_whole_tree_ends_with_the_holder_even_by_sigkill(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    env = mark()
    holder = "import os, sys; from pathlib import Path; from flows.processes.leashes import Leashes\n"
    holder += "from flows.processes.lines import read_lines\n"
    holder += "process = Leashes().start([sys.executable, 'stubborn.py'], Path.cwd(), os.environ)\n"
    holder += "read_lines(process, lambda line, _: print(line, flush=True))"
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=tmp_path,
        env=toy_env(tmp_path, **env),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stdout.readline() == "started\n"
        wait_until(lambda: len(marked(env)) == 5)  # holder, leash, command, its child, the orphan to be
        process.kill()
    started_s = time.monotonic()
    wait_until(lambda: not marked(env), 10)
    assert time.monotonic() - started_s < 10


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    env = mark()
    leashes = Leashes()
    process = leashes.start(["sh", "-c", "(setsid sleep 600 &) ; true"], tmp_path, toy_env(tmp_path, **env))
    read_lines(process, lambda *_: None)
    assert leashes.end(process) == 0
    assert not marked(env)


def test_nothing_starts_after_the_end(tmp_path: Path) -> None:
    leashes = Leashes()
    leashes.end_all()
    with pytest.raises(StageFailed):
        leashes.start(["true"], tmp_path, os.environ)
