"""dvc.lock is read and written in part: the same content, and the same bytes, as DVC's own way comes to."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc.utils.serialize import modify_yaml, parse_yaml
from dvc_objects.fs.local import LocalFileSystem

from flows.stages.lock_in_part import Entries, entries_in, modify_in_part, read_in_part

NAMES = ("check", "train@a", "evaluate@a-1.5", "report@p")
OTHER = {
    "cmd": "python -m tasks.train a",
    "params": {"params.yaml": {"defaults": {"lr": 1e-05, "tags": ["x"]}}},
}


def entry(name: str) -> dict[str, Any]:
    outs = [{"path": f"out/{name}", "md5": "0" * 32, "size": 12}]
    # Long enough to be broken into two lines.
    return {"cmd": f'exec env PATH=".venv/bin:$PATH" python -m tasks.{name} ' + "word " * 20, "outs": outs}


def lock_of(names: tuple[str, ...], path: Path) -> Path:
    with modify_yaml(str(path)) as content:
        content |= {"schema": "2.0", "stages": {name: entry(name) for name in names}}
    return path


def test_there_is_none_yet(tmp_path: Path) -> None:
    with modify_in_part(str(tmp_path / "dvc.lock"), LocalFileSystem()) as content:
        content |= {"schema": "2.0", "stages": {"check": entry("check")}}
    assert (tmp_path / "dvc.lock").read_bytes() == lock_of(("check",), tmp_path / "other").read_bytes()


@pytest.mark.parametrize("changed", [("check",), ("train@a", "new@b"), ("report@p",), ("new@b",), ()])
def test_the_same_bytes(changed: tuple[str, ...], tmp_path: Path) -> None:
    ours, theirs = lock_of(NAMES, tmp_path / "dvc.lock"), lock_of(NAMES, tmp_path / "theirs.lock")
    for modify, path in ((modify_in_part, ours), (modify_yaml, theirs)):
        with modify(str(path), LocalFileSystem()) as content:
            content["stages"].update({name: deepcopy(OTHER) for name in changed})
    assert ours.read_bytes() == theirs.read_bytes()


def test_what_is_not_about_the_stage_is_left_as_it_stands(tmp_path: Path) -> None:
    lock = lock_of(NAMES, tmp_path / "dvc.lock")
    before = lock.read_text().replace("    - path: out/check\n", "    - path: 'out/check'  # mine\n")
    lock.write_text(before)
    with modify_in_part(str(lock), LocalFileSystem()) as content:
        content["stages"]["train@a"] = OTHER
    assert lock.read_text().partition("  train@a:")[0] == before.partition("  train@a:")[0]


def test_what_is_read_is_what_is_there(tmp_path: Path) -> None:
    raw = lock_of(NAMES, tmp_path / "dvc.lock").read_bytes()
    entries = entries_in(raw, lambda: pytest.fail("one by one will do"))
    assert isinstance(entries, Entries)
    assert list(entries) == list(NAMES) and len(entries) == len(NAMES)
    assert dict(entries) == {name: entry(name) for name in NAMES}
    assert "new@b" not in entries and entries.get("new@b") is None
    del entries["train@a"]
    assert list(entries) == ["check", "evaluate@a-1.5", "report@p"] and "  train@a:" not in entries.text()


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    raw = lock_of(NAMES, tmp_path / "dvc.lock").read_bytes().replace(b"- path: out/check", b"- [path")
    entries = entries_in(raw, lambda: {"stages": {"check": "from the whole"}})
    assert entries is not None
    assert entries["train@a"] == entry("train@a")
    assert entries["check"] == "from the whole", "DVC itself says what is wrong with it"


def test_of_a_damaged_entry_the_schema_is_not_met(tmp_path: Path) -> None:
    raw = lock_of(NAMES, tmp_path / "dvc.lock").read_bytes().replace(b"outs:", b"oats:")
    entries = entries_in(raw, lambda: {"stages": {"check": "from the whole"}})
    assert entries is not None and entries["check"] == "from the whole"


def test_a_lock_of_another_layout_is_read_by_dvc(tmp_path: Path) -> None:
    lock, told = tmp_path / "dvc.lock", list[dict[str, Any]]()

    def read(lock: Any, **how: Any) -> tuple[Any, str]:
        told.append(how)
        return {"all": "of it"}, ""

    file = SimpleNamespace(repo=SimpleNamespace(fs=LocalFileSystem()), path=str(lock))
    for raw, how, seen in (
        (b"schema: '2.0'\nstages: {}\n", {}, {"all": "of it"}),
        (b"schema: '2.0'\nstages:\n  check:\n    cmd: \xff\n", {}, {"all": "of it"}),
        (b"schema: '2.0'\nstages:\n  check:\n    cmd: a\n", {"round_trip": True}, {"all": "of it"}),
        (b"schema: '2.0'\nstages:\n  a:\n    cmd: b\n", {}, {"schema": "2.0", "stages": {"a": {"cmd": "b"}}}),
    ):
        lock.write_bytes(raw)
        assert read_in_part(read)(file, **how)[0] == seen
    assert told == [{}, {}, {"round_trip": True}]


@pytest.mark.parametrize(
    "text",
    [
        "schema: '2.0'\nstages: {check: {cmd: a}, train@a: {cmd: b}}\n",
        "stages:\n  check:\n    cmd: a\n  train@a:\n    cmd: b\nschema: '2.0'\n",
        "schema: '2.0'\nstages:\n  check:\n    cmd: a\n  'train@a':\n    cmd: b",
        "schema: '2.0'\ndatasets: []\nstages:\n  check:\n    cmd: a\n",
        "schema: '2.0'\nstages:\n    check:\n      cmd: a\n",
        "schema: '2.0'\nstages: {}\n",
        "",
    ],
)
def test_another_layout_loses_nothing(text: str, tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(text)
    with modify_in_part(str(lock), LocalFileSystem()) as content:
        content["schema"] = "2.0"
        content.setdefault("stages", {})["new@b"] = OTHER
    stages = (parse_yaml(text, "lock") or {}).get("stages") or {}
    found = parse_yaml(lock.read_text(), "lock")
    assert found["stages"] == {**stages, "new@b": OTHER}
    assert found["schema"] == "2.0"
