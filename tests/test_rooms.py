"""Each room imports only from rooms below it, and each tool lives in exactly one place."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from regatta.settings.outputs import CHECKED, PACKED, RAW, REPORT, TRACKED, outputs_of
from tasks.resolving import sources

ROOT = Path(__file__).parent.parent
GROUND = {
    "regatta.settings",
    "regatta.errors",
    "regatta.findings",
    "regatta.whole",
    "regatta.progress",
    "regatta.digest",
    "regatta.manifest",
    "regatta.verified",
    "regatta.arrays",
    "regatta.names",
    "regatta.allocation",
    "regatta.garbage",
    "regatta.local_ray",
    "regatta.blank_databases",
}
"""What every room stands on."""
ROOMS = {
    "flows": {"flows", "tasks.libraries"} | GROUND,
    "flows/processes": {"flows.processes"} | GROUND,
    "flows/stages": {"flows.stages", "flows.processes", "tasks.libraries"} | GROUND,
    "flows/walking": {"flows.walking", "flows.stages", "flows.processes"} | GROUND,
    "flows/serving": {"flows.serving", "flows.processes"} | GROUND,
    "flows/examining": {"flows.examining", "flows.serving", "flows.walking", "flows.processes"} | GROUND,
    "tasks": {"tasks", "models", "regatta"},
    "models": {"models"},
    "regatta/settings": {"regatta.settings", "regatta.errors"},
    "regatta/archives": {"regatta.archives"} | GROUND,
    "regatta/formats": {"regatta.formats"} | GROUND,
    "regatta/packed": {"regatta.packed"} | GROUND,
    "regatta/problems": {"regatta.problems", "regatta.packed"} | GROUND,
    "regatta/engine": {"regatta.engine", "regatta.packed", "regatta.problems"} | GROUND,
    "regatta/profiling": {"regatta.profiling", "regatta.engine", "regatta.problems"} | GROUND,
    "regatta/cluster": {"regatta.cluster", "regatta.engine"} | GROUND,
    "regatta/tracking": {"regatta.tracking", "models"} | GROUND,
    "regatta/reporting": {"regatta.reporting"} | GROUND,
}
TOOLS = {"ray": "regatta/cluster", "mlflow": "regatta/tracking", "prefect": "flows", "dvc": "flows"}
OURS = ("flows", "tasks", "models", "regatta")


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(path: Path) -> list[str]:
    """Every module that the file imports, also inside functions."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute, so that a reader sees the room"
            names.append(str(node.module))
    return names


def below(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for path in modules(ROOT / room):
        for name in imported(path):
            if name.split(".")[0] in OURS:
                allowed = any(below(name, other) for other in ROOMS[room])
                assert allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_lives_in_one_place(tool: str) -> None:
    for folder in OURS:
        for path in modules(ROOT / folder):
            place = path.relative_to(ROOT).as_posix()
            if any(below(name, tool) for name in imported(path)):
                assert place.startswith(TOOLS[tool]), f"{place} imports {tool}"


@pytest.mark.parametrize("top", ["flows", "regatta"])
def test_every_folder_has_a_rule(top: str) -> None:
    folders = {f"{top}/{path.name}" for path in (ROOT / top).iterdir() if (path / "__init__.py").exists()}
    assert folders == {room for room in ROOMS if room.startswith(f"{top}/")}


def reached(first: str, rooms: tuple[str, ...]) -> set[str]:
    """Files of *rooms* that the module *first* imports, and those that these import."""
    found, unseen = set[str](), [first]
    while unseen:
        path = Path(*unseen.pop().split(".")).with_suffix(".py")
        if str(path) not in found and (ROOT / path).is_file():
            found.add(str(path))
            unseen += [name for name in imported(ROOT / path) if name.split(".")[0] in rooms]
    return found


def graph() -> dict[str, Any]:
    """Each stage as dvc.yaml has it, what it repeats for each item too."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def dependencies(stage: str) -> set[str]:
    return set(graph()[stage]["deps"])


def outs(stage: str) -> list[Path]:
    found = [out for kind in ("outs", "metrics", "plots") for out in graph()[stage].get(kind, ())]
    return [Path(out if isinstance(out, str) else next(iter(out))) for out in found]


def test_the_graph_knows_what_evaluating_draws_with() -> None:
    drawing = {path for path in reached("tasks.evaluate", OURS) if path.startswith("regatta/reporting/")}
    known = {path for path in dependencies("evaluate") if path.startswith("regatta/reporting/")}
    assert drawing == known


def test_outputs_lie_where_the_graph_says() -> None:
    run = outputs_of("${key}", "${item.problem}")
    written = {
        "check": {CHECKED},
        "build": {CHECKED},
        "download": {RAW / "${item}"},
        "preprocess": {PACKED / "${item}"},
        "train": {run.trained, run.journals},
        "evaluate": {run.results, run.costs},
        "report": {REPORT / "${item}"},
        "track": {TRACKED / "${item}.json"},
    }
    assert written.keys() == graph().keys()
    for stage, places in written.items():
        for out in outs(stage):
            assert any(out.is_relative_to(place) for place in places), f"{stage}: {out}"
        for place in places:
            assert any(out.is_relative_to(place) for out in outs(stage)), f"{stage}: {place}"


def test_the_graph_knows_all_code_that_a_runs_key_holds() -> None:
    assert {str(place) for place in sources("${item.family}")} <= dependencies("train")


def test_no_pickle_is_read_or_written() -> None:
    for folder in OURS:
        for path in modules(ROOT / folder):
            names = imported(path)
            assert not {"pickle", "cloudpickle", "joblib", "dill"} & {n.split(".")[0] for n in names}, path
            text = path.read_text(encoding="utf-8")
            assert "torch.load(" not in text, path
            assert "allow_pickle=True" not in text, path
