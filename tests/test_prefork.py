"""Steps that are forked where their libraries are loaded: they are what a Python of their own would be."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.processes.leashes import Leashes
from flows.stages.dvc_start import DvcStart
from flows.stages.stage import run_stage
from flows.stages.step import HEAVY, Step, step_in
from tests.toy import PROJECT, marked, wait_until
from tests.toy import mark as new_marks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every step is started")

START = """
import os, sys, time, regatta.errors
from flows.stages.prefork import Preforked
from flows.stages.step import Step
ready = Preforked()
{then}
"""
RUN = """
runner = ready.runner(Step('own', tuple(sys.argv[1:]), os.environ['FOLDER'], dict(os.environ)))
print('code', runner and runner())
"""


def graph() -> dict[str, Any]:
    return yaml.safe_load((PROJECT / "dvc.yaml").read_text())


def command_lines() -> list[str]:
    """Those of the course, as DVC would run them."""
    lines = [stage.get("do", stage)["cmd"] for stage in graph()["stages"].values()]
    python = next(entry["python"] for entry in graph()["vars"] if "python" in entry)
    return [re.sub(r"\$\{(item|key)\}", "unet-2.a_b", line.replace("${python}", python)) for line in lines]


def forked(folder: Path, step: str, *arguments: str, then: str = RUN) -> subprocess.Popen[str]:
    """A process that has forked one that waits, for *step* of the project at *folder*, and does *then*."""
    (folder / "tasks").mkdir(exist_ok=True)
    (folder / "tasks" / "__init__.py").touch()
    (folder / "tasks" / "own.py").write_text(step)
    env = dict(os.environ) | {"FOLDER": str(folder), "PYTHONPATH": str(PROJECT), "OWN": "ours"}
    command = [sys.executable, "-W", "error", "-c", START.format(then=then), *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What was said to the end, on stdout and on stderr."""
    with process:
        return process.communicate(timeout=60)


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_course_is_a_step(line: str) -> None:
    step = step_in(line, str(PROJECT), os.environ)
    assert step and line.endswith(" ".join([f"python -m tasks.{step.name}", *step.arguments]))


def test_those_who_may_wait_for_libraries_are_stages_of_the_course() -> None:
    assert set(HEAVY) <= set(graph()["stages"])


@pytest.mark.parametrize(
    "line",
    [
        "python -m tasks.check",
        'exec env REGATTA_PARENT="$PPID" PATH=".venv/bin:$PATH" python -m tasks.check; ls',
        'exec env REGATTA_PARENT="$PPID" PATH=".venv/bin:$PATH" python -m tasks.check $(ls)',
        'exec env REGATTA_PARENT="$PPID" PATH=".venv/bin:$PATH" python -m pytest',
        'exec env REGATTA_PARENT="$PPID" PATH="other/bin:$PATH" python -m tasks.check',
    ],
)
def test_any_other_line_is_left_to_a_shell(line: str) -> None:
    assert step_in(line, str(PROJECT), os.environ) is None


def test_a_project_with_another_python_has_a_shell_start_it(tmp_path: Path) -> None:
    line, folder = command_lines()[0], str(tmp_path)
    env = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath])}
    assert step_in(line, folder, env) == Step("check", (), folder, env)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to("/bin/true")
    assert step_in(line, folder, env) is None
    assert step_in(line, f"{folder}/none", {}) is None


def test_a_step_is_in_its_folder_with_its_arguments_and_environment(tmp_path: Path) -> None:
    step = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['OWN'], os.environ['PATH'], sys.path[0], __name__,
                  os.environ['REGATTA_PARENT'] == str(os.getppid())]))
"""
    said, complaint = output(forked(tmp_path, step, "one", "two"))
    first, last = said.splitlines()
    path = f".venv/bin{os.pathsep}{os.environ['PATH']}"
    expected = [["one", "two"], str(tmp_path), "ours", path, str(tmp_path), "__main__", True]
    assert json.loads(first) == expected
    assert (last, complaint) == ("code 0", "")


def test_a_step_has_the_project_of_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "regatta").mkdir()
    (tmp_path / "regatta" / "__init__.py").touch()
    (tmp_path / "regatta" / "errors.py").write_text("WHERE = 'here'")
    step = "import sys, regatta.errors\nprint(regatta.errors.WHERE, 'flows.stages.step' in sys.modules)"
    said, _ = output(forked(tmp_path, step))
    assert said.splitlines() == ["here False", "code 0"]


@pytest.mark.parametrize(
    ("last_words", "code", "complaint"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('wrong')", 1, "wrong\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_a_step_ends_as_a_python_would(tmp_path: Path, last_words: str, code: int, complaint: str) -> None:
    said, errors = output(forked(tmp_path, f"import os, signal, sys\n{last_words}\n"))
    assert said == f"code {code}\n"
    assert errors.endswith(complaint) if complaint else not errors


def test_a_step_does_at_its_end_what_it_had_planned(tmp_path: Path) -> None:
    step = """
import atexit, threading, time
atexit.register(print, 'tidied up')
threading.Thread(target=lambda: (time.sleep(0.3), print('finished'))).start()
"""
    planned_before = f"import atexit; atexit.register(print, 'parent ended')\n{RUN}"
    said, _ = output(forked(tmp_path, step, then=planned_before))
    assert said.splitlines() == ["finished", "tidied up", "code 0", "parent ended"]


def test_a_step_ends_though_a_pool_was_left_open(tmp_path: Path) -> None:
    step = "from concurrent.futures import ThreadPoolExecutor\n"
    step += "pool = ThreadPoolExecutor(1)\npool.submit(print, 'worked').result()\n"
    said, complaint = output(forked(tmp_path, step))
    assert (said.splitlines(), complaint) == (["worked", "code 0"], "")


def test_a_step_keeps_its_colours(tmp_path: Path) -> None:
    colourless = f"import colorama; colorama.init(strip=True)\n{RUN}"
    said, _ = output(forked(tmp_path, "print('\\x1b[31mred\\x1b[0m')", then=colourless))
    assert said.splitlines()[0] == "\x1b[31mred\x1b[0m"


def test_it_runs_one_step_only(tmp_path: Path) -> None:
    said, _ = output(forked(tmp_path, "print('run')", then=f"{RUN}\n{RUN}"))
    assert said.splitlines() == ["run", "code 0", "code None"]


def test_one_that_was_killed_while_it_waited_is_a_step_that_was_killed(tmp_path: Path) -> None:
    then = f"os.kill(ready._pid, 9); time.sleep(0.1)\n{RUN}"
    said, complaint = output(forked(tmp_path, "print('run')", then=then))
    assert (said, complaint) == ("code -9\n", "")


@pytest.mark.parametrize("then", ["ready.close(); os.waitpid(-1, 0)", "os.kill(os.getpid(), 9)"])
def test_one_that_waits_ends_with_who_forked_it(tmp_path: Path, then: str) -> None:
    marks = new_marks()
    os.environ.update(marks)
    try:
        output(forked(tmp_path, "print('run')", then=then))
    finally:
        for name in marks:
            del os.environ[name]
    wait_until(lambda: not marked(marks))


# The fork server, and what it loads.


STEPS = {
    "check": "print('light')",
    "download": "print('light', 'torch' in sys.modules)",
    "build": "print('heavy', 'torch' in sys.modules, 'mlflow' in sys.modules, 'regatta' in sys.modules)",
}


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stages with command lines like the course's, of steps that say what is loaded."""
    stages: dict[str, Any] = {}
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").touch()
    for name, last in STEPS.items():
        line = next(line for line in command_lines() if f"tasks.{name}" in line)
        stages[name] = {"cmd": line.split(f"tasks.{name}")[0] + f"tasks.{name}", "outs": [f"out/{name}"]}
        text = f"import sys\nfrom pathlib import Path\n{last}\nPath('out/{name}').write_text('done')\n"
        (tmp_path / "tasks" / f"{name}.py").write_text(text)
    (tmp_path / "out").mkdir()
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    monkeypatch.setenv("REGATTA_HOME", str(tmp_path / ".regatta"))
    return tmp_path


def test_heavy_stages_find_their_libraries_loaded_and_light_ones_do_not_wait(course: Path) -> None:
    lines: list[str] = []
    with closing(DvcStart(Leashes())) as dvc:
        for name in STEPS:
            run_stage(name, course, lambda line, _: lines.append(line), dvc)
    assert "light" in lines and "light False" in lines
    assert "heavy True True False" in lines
    assert not (course / ".regatta" / "logs" / "dvc.log").read_text()


def test_a_stage_that_waits_for_libraries_fails_when_who_loads_them_is_killed(course: Path) -> None:
    with closing(DvcStart(Leashes())) as dvc:
        run_stage("check", course, lambda *_: None, dvc)
        waiting = dvc(["repro", "--single-item", "build"], course)
        [leash] = [p for p in psutil.Process().children() if "flows.stages.fork_server" in p.cmdline()]
        min(leash.children(), key=lambda process: process.pid).kill()
        assert dvc.leashes.end(waiting) == -signal.SIGKILL
        lines: list[str] = []
        run_stage("build", course, lambda line, _: lines.append(line), dvc)
        assert "heavy False False False" in lines
