"""Python's collector is rare while a step imports, and as usual while it trains."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = """
import gc

usual = gc.get_threshold()
import tasks
from regatta.garbage import collect_as_usual

assert gc.get_threshold()[0] > 10 * usual[0]
collect_as_usual()
assert gc.get_threshold() == usual
assert gc.get_freeze_count() > 1000
"""


def test_a_step_imports_without_looking_for_garbage_and_works_with_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_looked_through_when_a_step_ends() -> None:
    script = "import atexit, gc\natexit.register(lambda: print(gc.get_freeze_count() > 1000))\nimport tasks"
    # What was registered first is called last.
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
