"""Databases that begin as copies of the installation's blank ones."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from regatta import blank_databases
from regatta.blank_databases import begin_with_blank, blank_database, make_blank_databases
from regatta.errors import RegattaError
from tests.toy import prefect_server


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python of its own, as far as blank databases go, that has none."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))
    return tmp_path / "python"


def put(program: blank_databases.Program, content: bytes) -> None:
    blank_database(program).parent.mkdir(parents=True, exist_ok=True)
    blank_database(program).write_bytes(content)


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_database_begins_as_the_blank_one(installation: Path, tmp_path: Path) -> None:
    put("mlflow", b"blank")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".mlflow.db.partial-999999999").write_bytes(b"of one that was killed")
    begin_with_blank("mlflow", tmp_path / "project" / "mlflow.db")
    assert (tmp_path / "project" / "mlflow.db").read_bytes() == b"blank"
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["mlflow.db"]


def test_one_that_is_there_is_left_alone(installation: Path, tmp_path: Path) -> None:
    put("prefect", b"blank")
    (tmp_path / "prefect.db").write_bytes(b"a year's runs")
    begin_with_blank("prefect", tmp_path / "prefect.db")
    assert (tmp_path / "prefect.db").read_bytes() == b"a year's runs"


def test_one_that_another_makes_meanwhile_is_left_alone(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("prefect", b"blank")

    def copied_while_another_makes_it(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        (tmp_path / "prefect.db").write_bytes(b"another's")

    monkeypatch.setattr(blank_databases.shutil, "copyfile", copied_while_another_makes_it)
    begin_with_blank("prefect", tmp_path / "prefect.db")
    assert (tmp_path / "prefect.db").read_bytes() == b"another's"
    assert not list(tmp_path.glob(".*partial*"))


def test_without_a_blank_one_nothing_is_there_yet(installation: Path, tmp_path: Path) -> None:
    begin_with_blank("prefect", tmp_path / "prefect.db")
    assert not (tmp_path / "prefect.db").exists()


def test_what_a_program_cannot_make_is_one_line(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for program in ("prefect", "mlflow"):
        (broken / f"{program}.py").write_text("raise SystemExit('no room')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(RegattaError, match="prefect cannot make its database: no room"):
        make_blank_databases()
    assert not installation.exists()


def test_both_are_made_and_prefect_starts_with_its_own(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{elsewhere}")
    make_blank_databases()
    assert not elsewhere.exists()  # nothing of the user's is touched
    assert {"flow_run", "alembic_version"} <= tables(blank_database("prefect"))
    assert {"experiments", "alembic_version"} <= tables(blank_database("mlflow"))
    begin_with_blank("prefect", tmp_path / "home" / "prefect" / "prefect.db")
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL")
    with prefect_server(tmp_path / "home") as address:
        assert address
