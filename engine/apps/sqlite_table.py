"""The table of applications in a file of SQLite as the command line edits it: made, filled, changed.

It judges no value: whoever calls it has. Each change is one transaction, so that a running engine sees it whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import orjson

from engine.apps.sources.rows import JSON_COLUMNS, to_entry
from engine.apps.sources.table import quoted
from engine.config.apps import AppConfig
from engine.config.databases import SqliteConfig

#: How long a change waits for somebody else who writes.
BUSY_S = 5.0
_REQUIRED = {"id": "TEXT PRIMARY KEY NOT NULL", "key": "TEXT NOT NULL UNIQUE", "secret": "TEXT NOT NULL"}


class SqliteTable:
    """Raises sqlite3.Error and OSError when the file cannot be used."""

    def __init__(self, config: SqliteConfig) -> None:
        self._path = Path(config.path)
        self._table = quoted(config.table_name, '"')

    def exists(self) -> bool:
        return self._path.is_file()

    def entries(self) -> list[dict[str, Any]]:
        """Every application as the entry that it is."""
        with self._open() as database:
            return [to_entry(dict(row)) for row in database.execute(f"SELECT * FROM {self._table}")]

    def add(self, entry: Mapping[str, Any]) -> None:
        """Raises sqlite3.IntegrityError where its id or key is another one's."""
        names = ", ".join(f'"{name}"' for name in entry)
        marks = ", ".join("?" * len(entry))
        with self._open() as database:
            self._complete(database, entry)
            statement = f"INSERT INTO {self._table} ({names}) VALUES ({marks})"
            database.execute(statement, list(map(_stored, entry.values())))

    def change(self, app_id: str, changes: Mapping[str, Any]) -> bool:
        """Set these options of one application; None is the option's default. False when there is no such one."""
        assignments = ", ".join(f'"{name}" = ?' for name in changes)
        with self._open() as database:
            self._complete(database, changes)
            values = [*map(_stored, changes.values()), app_id]
            return database.execute(f"UPDATE {self._table} SET {assignments} WHERE id = ?", values).rowcount > 0

    def remove(self, app_id: str) -> bool:
        """False when there is no such one."""
        with self._open() as database:
            return database.execute(f"DELETE FROM {self._table} WHERE id = ?", [app_id]).rowcount > 0

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Secrets are in it.
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._path.exists():
            self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, timeout=BUSY_S)
        try:
            database.row_factory = sqlite3.Row
            with database:
                columns = ", ".join(f'"{name}" {_type(name)}' for name in AppConfig.model_fields)
                database.execute(f"CREATE TABLE IF NOT EXISTS {self._table} ({columns})")
                yield database
        finally:
            database.close()

    def _complete(self, database: sqlite3.Connection, entry: Mapping[str, Any]) -> None:
        """Add columns that this table, made by an older version or by another server, does not have."""
        has = {row["name"] for row in database.execute(f"PRAGMA table_info({self._table})")}
        for name in entry:
            if name not in has:
                database.execute(f'ALTER TABLE {self._table} ADD COLUMN "{name}" {_type(name)}')


def _type(name: str) -> str:
    if name in _REQUIRED:
        return _REQUIRED[name]
    if name in JSON_COLUMNS:
        return "TEXT"
    kinds = _kinds(AppConfig.model_fields[name].annotation)
    # A truth value is 0 or 1 in SQLite.
    return "INTEGER" if bool in kinds or int in kinds else "REAL" if float in kinds else "TEXT"


def _kinds(annotation: Any) -> set[Any]:
    """The types in an annotation, whatever is around them."""
    return {annotation}.union(*map(_kinds, get_args(annotation)))


def _stored(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, list | dict | tuple) else value
