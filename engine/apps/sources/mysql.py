"""The table of applications in MySQL or MariaDB, by aiomysql.

Imported only for this driver: aiomysql is an optional dependency. It only ever reads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiomysql
import pymysql

from engine.apps.sources.table import CONNECT_TIMEOUT_S, MAX_ROWS, PAGE_ROWS, quoted, tls_context
from engine.config.databases import MySqlConfig


class MySqlServer:
    """A `table.Server`."""

    failures: tuple[type[Exception], ...] = (pymysql.err.Error, OSError, EOFError, RuntimeError, ValueError)

    def __init__(self, config: MySqlConfig) -> None:
        self._config = config

    async def connect(self) -> MySqlConnection:
        config = self._config
        connection = aiomysql.Connection(
            host=config.host,
            port=config.port,
            user=config.username,
            password=config.password,
            db=config.database,
            charset="utf8mb4",
            ssl=tls_context(config),
            connect_timeout=CONNECT_TIMEOUT_S,
            # In a transaction every reading would see the rows of the first one.
            autocommit=True,
            program_name="engine",
        )
        try:
            # This connects; `aiomysql.connect` would leave the socket open when it is cancelled.
            await connection.ping()
        except BaseException:
            connection.close()
            raise
        return MySqlConnection(connection, quoted(config.table_name, "`"))


class MySqlConnection:
    """A `table.Connection`. :param table: quoted."""

    def __init__(self, connection: Any, table: str) -> None:
        self._connection = connection
        self._query = f"SELECT * FROM {table} LIMIT {MAX_ROWS + 1}"

    async def rows(self) -> AsyncGenerator[Mapping[str, Any], None]:
        # Closed on success only: closing reads what is left, for which a server that hangs would keep us waiting.
        cursor = await self._connection.cursor(aiomysql.SSDictCursor)
        await cursor.execute(self._query)
        while rows := await cursor.fetchmany(PAGE_ROWS):
            for row in rows:
                yield row
        await cursor.close()

    def drop(self) -> None:
        self._connection.close()
