"""The table of applications in a file of SQLite, by Python's own sqlite3.

It only ever reads; `apps/sqlite_table.py` writes. The file is opened for each reading and in a thread, so that nothing
is held while others change it, or put another file in its place.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from engine.apps.sources.table import MAX_ROWS, quoted
from engine.config.databases import SqliteConfig

#: How long a reading waits for somebody who writes.
BUSY_S = 2.0


class SqliteServer:
    """A `table.Server`."""

    failures: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, config: SqliteConfig) -> None:
        self._config = config

    async def connect(self) -> SqliteConnection:
        return SqliteConnection(Path(self._config.path), quoted(self._config.table_name, '"'))


class SqliteConnection:
    """A `table.Connection`. :param table: quoted."""

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        self._query = f"SELECT * FROM {table} LIMIT {MAX_ROWS + 1}"

    async def rows(self) -> AsyncGenerator[Mapping[str, Any], None]:
        for row in await asyncio.to_thread(self._read):
            yield row

    def drop(self) -> None:
        """Nothing is kept open."""

    def _read(self) -> list[dict[str, Any]]:
        if not self._path.is_file():
            raise FileNotFoundError("there is no such file; the command `apps add` makes it")
        database = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        try:
            cursor = database.execute(self._query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        finally:
            database.close()
