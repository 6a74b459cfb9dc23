"""A course small enough for tests of the flows: real DVC, real processes, stages of a few milliseconds."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from dvc.repo import Repo

PROJECT = Path(__file__).parents[1]

PARAMS = """\
defaults: {epochs: 2}
problems: [classification, segmentation]
datasets: [d, e]
runs:
  one: {problem: classification, dataset: d, family: softmax}
  two: {problem: classification, dataset: d, family: mlp, lr: 0.2}
  three: {problem: segmentation, dataset: e, family: unet}
"""

GRAPH = """\
stages:
  download:
    foreach: ${datasets}
    do:
      cmd: python tasks/step.py download ${item} data/raw/${item}
      outs:
        - data/raw/${item}
  train:
    foreach: ${runs}
    do:
      cmd: python tasks/step.py train ${key} trained/${key} data/raw/${item.dataset}
      deps:
        - data/raw/${item.dataset}
      params:
        - defaults
        - runs.${key}
      outs:
        - trained/${key}
  evaluate:
    foreach: ${runs}
    do:
      cmd: python tasks/step.py evaluate ${key} results/${item.problem}/${key} trained/${key}
      deps:
        - trained/${key}
      outs:
        - results/${item.problem}/${key}
  report:
    foreach: ${problems}
    do:
      cmd: python tasks/step.py report ${item} report/${item} results/${item}
      deps:
        - results/${item}
      outs:
        - report/${item}
"""

STEP = '''\
"""What every stage of the toy does: say so, read its inputs, write its output. Files in `play/` change it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

kind, name, out, *inputs = sys.argv[1:]
play = Path(os.environ.get("TOY_PLAY", "play")) / f"{kind}-{name}"
print(f"epoch 1/1 {kind} {name}")

if play.with_suffix(".hang").exists():
    # A grandchild in a session of its own, as stubborn as they come.
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
    play.with_suffix(".hanging").touch()
    time.sleep(600)

lines = play.with_suffix(".lines")
for number in range(int(lines.read_text()) if lines.exists() else 0):
    print(f"line {number} of many")

if play.with_suffix(".env").exists():
    names = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    play.with_suffix(".env").write_text(json.dumps({name: os.environ.get(name) for name in names}))

wait = play.with_suffix(".wait")
time.sleep(float(wait.read_text()) if wait.exists() else 0)

while play.with_suffix(".held").exists():
    time.sleep(0.05)

failures = play.with_suffix(".fail")
if failures.exists() and (left := int(failures.read_text())) > 0:
    failures.write_text(str(left - 1))
    sys.exit(f"error: {name} is broken on purpose")

files = [p for i in map(Path, inputs) for p in ([i] if i.is_file() else sorted(i.iterdir()))]
texts = [file.read_text() for file in files]
target = Path(out)
target.parent.mkdir(parents=True, exist_ok=True)
if kind == "report":
    target.mkdir()
    runs = sorted(p.name for p in Path(inputs[0]).iterdir())
    rows = [{"rank": n, "run": r, "family": "f", "dataset": "d", "primary": "top1", "score": 0.5}
            for n, r in enumerate(runs, 1)]
    (target / "ranking.json").write_text(json.dumps(rows))
    (target / "index.html").write_text("".join(texts))
else:
    params = Path("params.yaml").read_text() if kind == "train" else ""
    target.write_text("".join([kind, name, params, *texts]))
'''


def make_toy(folder: Path) -> Path:
    """A toy project at *folder*, ready for its first walk."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "play").mkdir()
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "tasks" / "step.py").write_text(STEP)
    (folder / ".dvcignore").write_text((PROJECT / ".dvcignore").read_text())
    Repo.init(str(folder), no_scm=True).close()
    return folder


def toy_env(folder: Path, **more: str) -> dict[str, str]:
    """Environment for commands in the toy: its own home, nobody's server, no traffic."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "REGATTA_", "MLFLOW_", "RAY_"))
    }
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "TOY_PLAY": str(folder / "play"),
        "DVC_NO_ANALYTICS": "1",
        "NO_COLOR": "1",
    }
    return inherited | own | more


def start(folder: Path, *command: str, **env: str) -> subprocess.Popen[str]:
    """`python -m COMMAND` in the toy; stdout and stderr together."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=toy_env(folder, **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, *command: str, **env: str) -> tuple[int, str]:
    """Exit code and output of `python -m COMMAND` in the toy."""
    with start(folder, *command, **env) as process:
        output, _ = process.communicate(timeout=200)
    return process.returncode, output


def mark() -> dict[str, str]:
    """An environment variable that every process started with it hands on, whatever else it does."""
    return {"TOY_MARK": uuid4().hex}


def marked(env: dict[str, str]) -> list[str]:
    """Command lines of the living processes that carry the mark."""
    return _of_marked(env, lambda process: [" ".join(process.cmdline())])


def listening(env: dict[str, str]) -> list[tuple[str, str]]:
    """Name and address of each process with the mark that waits for connections."""
    return _of_marked(
        env,
        lambda process: [
            (process.name(), connection.laddr.ip)
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ],
    )


def _of_marked(env: dict[str, str], look: Callable[[psutil.Process], list[Any]]) -> list[Any]:
    found: list[Any] = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            lives = process.status() != psutil.STATUS_ZOMBIE
            if lives and process.environ().get("TOY_MARK") == env["TOY_MARK"]:
                found += look(process)
    return found


def wait_until(happened: Any, timeout_s: float = 60.0) -> None:
    """Wait for *happened()* to become true."""
    give_up_at_s = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < give_up_at_s, "did not happen in time"
        time.sleep(0.1)


def ask(api_url: str, what: str, body: dict[str, Any] | None = None) -> Any:
    """Answer of Prefect's API to a POST; tried again while its database is busy (503)."""
    request = urllib.request.Request(
        f"{api_url}/{what}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"}
    )
    give_up_at_s = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as fault:
            if fault.code != 503 or time.monotonic() > give_up_at_s:
                raise
            fault.close()
            time.sleep(1)


def ask_all(api_url: str, what: str, body: dict[str, Any]) -> list[Any]:
    """All pages of a filter query."""
    rows: list[Any] = []
    while page := ask(api_url, what, body | {"limit": 200, "offset": len(rows)}):
        rows += page
    return rows


@contextmanager
def prefect_server(home: Path) -> Generator[str]:
    """Address of a Prefect server with its database under *home*, for several commands to share."""
    code = "import sys; from flows.serving.embedded import *\n"
    code += "with embedded_server(Leashes()) as s: print(s.ready(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=toy_env(home, REGATTA_HOME=str(home)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stdin
        yield process.stdout.readline().strip()
        process.stdin.close()
