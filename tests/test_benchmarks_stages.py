"""The benchmarks of stages measure what they say: their courses can be run, their marks are made and read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import drivers, many_runs
from benchmarks.course import __main__ as course
from benchmarks.fixed_costs import __main__ as fixed_costs
from benchmarks.fixed_costs import sitecustomize
from benchmarks.fixed_costs.breakdown import ONE_WORKER, TWO_WORKERS, Part, processes, read_marks, seconds
from regatta.settings.course import read_course
from tests.conftest import copy_project

WORK = """
import os
import ray
from pathlib import Path

Path("run").touch()
Path("run").replace("moved")
"""


def marked(project: Path, script: str) -> None:
    """Run *script* in *project* with the marks of the benchmark, and with a `ray` that costs nothing."""
    shutil.copy(sitecustomize.__file__, project)
    (project / "marks").mkdir(exist_ok=True)
    (project / "ray.py").write_text("")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(project)}
    subprocess.run([sys.executable, "-c", script], cwd=project, env=env, check=True)


def test_marks_tell_imports_and_placed_files_in_order(tmp_path: Path) -> None:
    marked(tmp_path, WORK)
    [marks] = read_marks(tmp_path / "marks")
    assert list(marks) == ["began", "import ray", "imported ray", "placed moved", "ended"]
    assert list(marks.values()) == sorted(marks.values())


def test_without_a_folder_for_them_no_marks_are_made(tmp_path: Path) -> None:
    marked(tmp_path, WORK)
    shutil.rmtree(tmp_path / "marks")
    env = dict(os.environ) | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", WORK], cwd=tmp_path, env=env, check=True)
    assert not (tmp_path / "marks").exists()


def written(folder: Path, *processes: dict[str, float]) -> Path:
    folder.mkdir()
    for number, marks in enumerate(processes):
        lines = [f'{{"what": "{what}", "time_s": {time_s}}}' for what, time_s in marks.items()]
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_the_parts_of_a_stage_fill_the_time_from_command_to_exit(tmp_path: Path) -> None:
    parts = (Part("torch", "stage", "imported torch"), Part("rest", "stage", "exited"))
    marks = {"began": 1.0, "imported torch": 3.5}
    folder = written(tmp_path / "marks", marks)
    assert seconds(parts, folder, 0.5, 6.0) == [("torch", 3.0), ("rest", 2.5)]


def test_the_controller_is_the_first_of_rays_processes_and_the_worker_the_one_that_leads(
    tmp_path: Path,
) -> None:
    stage = {"began": 0.0, "imported torch": 1.0}
    others = [{"began": 4.0, "opened 1.log": 9.0}, {"began": 2.0}, {"began": 3.0, "opened 0.log": 8.0}]
    found = processes(read_marks(written(tmp_path / "marks", *others, stage)))
    assert {name: marks["began"] for name, marks in found.items()} == {
        "stage": 0.0,
        "controller": 2.0,
        "worker": 3.0,
    }


@pytest.mark.parametrize("parts", [ONE_WORKER, TWO_WORKERS])
def test_every_part_is_told_apart_by_its_name(parts: tuple[Part, ...]) -> None:
    assert len({part.what for part in parts}) == len(parts)
    assert (parts[-1].process, parts[-1].mark) == ("stage", "exited")


def test_the_courses_of_the_benchmarks_can_be_read(tmp_path: Path) -> None:
    texts = (many_runs.course(3), drivers.course(), course.COURSE.replace("EPOCHS", "1"), fixed_costs.COURSE)
    counts: list[int] = []
    for text in texts:
        (tmp_path / "params.yaml").write_text(text)
        counts.append(len(read_course(tmp_path / "params.yaml").runs))
    assert counts == [3, 16, 1, 2]


def test_the_script_does_the_course_of_a_run(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    (project / "params.yaml").write_text(many_runs.course(1))
    shutil.copy(course.script.__file__, project)
    done = subprocess.run(
        [sys.executable, "script.py", "tiny-1"],
        cwd=project,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "REGATTA_HOME")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "'top1': 0." in done.stdout
    assert course.trained_s(project) > 0
