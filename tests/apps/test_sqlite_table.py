"""The table of applications in a SQLite file, made and changed."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from engine.apps.sqlite_table import SqliteTable
from engine.config.databases import SqliteConfig

ONE = {"id": "1", "key": "k1", "secret": "s1"}
TWO = {"id": "2", "key": "k2", "secret": "s2"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "applications.sqlite3"


@pytest.fixture
def table(path: Path) -> SqliteTable:
    return SqliteTable(SqliteConfig(path=str(path)))


def test_the_file_and_its_folder_are_for_one_user(table: SqliteTable, path: Path) -> None:
    assert not table.exists()
    table.add(ONE)
    assert table.exists()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def test_applications_are_added_changed_and_removed(table: SqliteTable) -> None:
    table.add(ONE)
    table.add(TWO | {"webhooks": [{"url": "https://a.example"}], "max_connections": 5})
    assert table.change("2", {"max_connections": None, "tls_only": True})
    assert table.entries() == [ONE, TWO | {"webhooks": [{"url": "https://a.example"}], "tls_only": 1}]
    assert table.remove("1")
    assert [entry["id"] for entry in table.entries()] == ["2"]


def test_what_is_not_there_is_not_changed(table: SqliteTable) -> None:
    table.add(ONE)
    assert not table.change("2", {"enabled": False})
    assert not table.remove("2")
    assert table.entries() == [ONE]


@pytest.mark.parametrize("taken", [{"id": "1", "key": "k9"}, {"id": "9", "key": "k1"}])
def test_ids_and_keys_are_unique(table: SqliteTable, taken: dict[str, str]) -> None:
    table.add(ONE)
    with pytest.raises(sqlite3.IntegrityError):
        table.add(taken | {"secret": "s"})
    assert table.entries() == [ONE]


def test_a_table_of_an_older_version_gets_the_column_that_it_lacks(table: SqliteTable, path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE applications (id TEXT PRIMARY KEY, "key" TEXT, secret TEXT)')
        database.execute("INSERT INTO applications VALUES ('1', 'k1', 's1')")
    database.close()
    assert table.change("1", {"max_connections": 9})
    assert table.entries() == [ONE | {"max_connections": 9}]
