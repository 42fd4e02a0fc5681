"""The table of applications in PostgreSQL, by asyncpg.

Imported only for this driver: asyncpg is an optional dependency. It only ever reads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import asyncpg

from engine.apps.sources.table import CONNECT_TIMEOUT_S, MAX_ROWS, PAGE_ROWS, READ_TIMEOUT_S, quoted, tls_context
from engine.config.databases import PostgresConfig


class PostgresServer:
    """A `table.Server`."""

    failures: tuple[type[Exception], ...] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        ValueError,
    )

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config

    async def connect(self) -> PostgresConnection:
        config = self._config
        connection = await asyncpg.connect(
            host=config.host,
            port=config.port,
            user=config.username,
            password=config.password,
            database=config.database,
            # Without `tls` it is encrypted where the server offers that, and nothing is verified.
            ssl=tls_context(config) or "prefer",
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=READ_TIMEOUT_S,
            # Remembered statements break when a column is added, and behind poolers such as PgBouncer.
            statement_cache_size=0,
        )
        return PostgresConnection(connection, quoted(config.table_name, '"'))


class PostgresConnection:
    """A `table.Connection`. :param table: quoted."""

    def __init__(self, connection: Any, table: str) -> None:
        self._connection = connection
        self._query = f"SELECT * FROM {table} LIMIT {MAX_ROWS + 1}"

    async def rows(self) -> AsyncGenerator[Mapping[str, Any], None]:
        # Ended on success only, and not in an `async with`: what fails is dropped, and a server that hangs would keep
        # us waiting for its ROLLBACK.
        transaction = self._connection.transaction(readonly=True)
        await transaction.start()
        async for record in self._connection.cursor(self._query, prefetch=PAGE_ROWS):
            yield dict(record)
        await transaction.commit()

    def drop(self) -> None:
        self._connection.terminate()
