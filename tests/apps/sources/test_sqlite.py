"""Applications in a SQLite file, as the engine reads them."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.apps.sources import sqlite as sqlite_module
from engine.apps.sources.build import build_source
from engine.apps.sqlite_table import SqliteTable
from engine.config.backends import DatabaseConfig
from engine.config.databases import SqliteConfig
from engine.errors import SourceUnavailable

ONE = {"id": "1", "key": "k1", "secret": "s1"}
TWO = {"id": "2", "key": "schlüssel", "secret": "s'2", "enabled": False, "max_connections": 7}


@pytest.fixture
def config(tmp_path: Path) -> SqliteConfig:
    return SqliteConfig(path=str(tmp_path / "apps and more.sqlite3"))


async def read(config: SqliteConfig) -> list[dict[str, Any]]:
    source = build_source(DatabaseConfig(sqlite=config), "sqlite")
    try:
        return await source.read()
    finally:
        await source.close()


async def test_what_was_written_is_read(config: SqliteConfig) -> None:
    table = SqliteTable(config)
    table.add(ONE | {"allowed_origins": ["a.example"], "max_event_payload_in_kb": 0.5})
    table.add(TWO)
    assert await read(config) == [
        ONE | {"allowed_origins": ["a.example"], "max_event_payload_in_kb": 0.5},
        TWO | {"enabled": 0},
    ]


async def test_a_table_of_sockudo_is_read(config: SqliteConfig) -> None:
    with sqlite3.connect(config.path) as database:
        database.execute('CREATE TABLE applications (id TEXT, "key" TEXT, secret TEXT, policy TEXT, created_at TEXT)')
        policy = '{"limits": {"max_connections": 3}}'
        database.execute("INSERT INTO applications VALUES ('1', 'k1', 's1', ?, 'today')", [policy])
    database.close()
    assert await read(config) == [ONE | {"max_connections": 3}]


def test_without_a_file_it_says_how_one_is_made(config: SqliteConfig) -> None:
    with pytest.raises(SourceUnavailable, match="there is no such file; the command `apps add` makes it"):
        asyncio.run(read(config))
    assert not Path(config.path).exists()


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_file_that_is_no_such_database_is_refused(config: SqliteConfig, content: bytes) -> None:
    Path(config.path).write_bytes(content)
    with pytest.raises(SourceUnavailable, match=r"no such table|not a database"):
        asyncio.run(read(config))


async def test_another_file_in_its_place_is_read(config: SqliteConfig, tmp_path: Path) -> None:
    SqliteTable(config).add(ONE)
    source = build_source(DatabaseConfig(sqlite=config), "sqlite")
    assert await source.read() == [ONE]
    other = SqliteConfig(path=str(tmp_path / "other"))
    SqliteTable(other).add(TWO)
    await asyncio.to_thread(Path(other.path).replace, config.path)
    assert [entry["id"] for entry in await source.read()] == ["2"]
    await source.close()


async def test_somebody_who_writes_is_waited_for_but_not_for_ever(
    config: SqliteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteTable(config).add(ONE)
    writer = sqlite3.connect(config.path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(sqlite_module, "BUSY_S", 0.05)
    with pytest.raises(SourceUnavailable, match="locked"):
        await read(config)
    monkeypatch.setattr(sqlite_module, "BUSY_S", 60.0)
    waiting = asyncio.create_task(read(config))
    await asyncio.sleep(0)
    writer.execute("ROLLBACK")
    assert await waiting == [ONE]
    writer.close()
