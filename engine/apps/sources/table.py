"""Applications in a table of an SQL server: one connection, kept from one reading to the next and made anew when lost.

Nothing here writes to the database, and no error's text shows what a row says or how the server was logged in to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from engine.apps.sources.rows import to_entry
from engine.config.databases import SqlConfig
from engine.errors import SourceUnavailable
from engine.tasks import within

#: More applications than this are not read at all: memory is bounded, and half of them would be worse than none.
MAX_ROWS = 100_000
#: Rows that the server is asked for at one time, and that are looked at in one turn of the event loop: 1 ms or so.
PAGE_ROWS = 100
CONNECT_TIMEOUT_S = 3.0
#: For connecting and reading together.
READ_TIMEOUT_S = 8.0
MAX_MESSAGE_LENGTH = 200


class Connection(Protocol):
    def rows(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """All rows of the table by the names of its columns, MAX_ROWS + 1 at most."""

    def drop(self) -> None:
        """Close it at once, whatever state it is in."""


class Server(Protocol):
    """:ivar failures: what its library raises when the server is away, refuses or answers nonsense."""

    failures: tuple[type[Exception], ...]

    async def connect(self) -> Connection: ...


class TableSource:
    """An `AppSource`. :param name: of the server and the table, for error texts."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name
        self._connection: Connection | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> list[dict[str, Any]]:
        async with self._reading:
            kept = self._connection is not None
            try:
                entries = await self._attempt()
            except SourceUnavailable:
                if not kept:
                    raise
                # The server may have been restarted since the last reading, and be well.
                entries = await self._attempt()
        if len(entries) > MAX_ROWS:
            raise SourceUnavailable(f"{self._name}: has more than {MAX_ROWS} rows")
        return entries

    async def close(self) -> None:
        self._drop()

    async def _attempt(self) -> list[dict[str, Any]]:
        complete = False
        try:
            async with within(READ_TIMEOUT_S):
                if self._connection is None:
                    self._connection = await self._connect()
                entries = []
                async with aclosing(self._connection.rows()) as rows:
                    async for row in rows:
                        entries.append(to_entry(row))
                        if len(entries) % PAGE_ROWS == 0:
                            # What has come already is handed on without waiting.
                            await asyncio.sleep(0)
            complete = True
            return entries
        except TimeoutError as error:
            raise SourceUnavailable(f"{self._name}: no answer within {READ_TIMEOUT_S:g} s") from error
        except self._server.failures as error:
            raise SourceUnavailable(f"{self._name}: {_in_words(error)}") from error
        finally:
            if not complete:
                self._drop()

    async def _connect(self) -> Connection:
        try:
            async with within(CONNECT_TIMEOUT_S):
                return await self._server.connect()
        except TimeoutError as error:
            raise SourceUnavailable(f"{self._name}: cannot connect within {CONNECT_TIMEOUT_S:g} s") from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()


def quoted(table: str, quote: str) -> str:
    """The table's name as it stands in a statement; the configuration's check lets no quote through."""
    assert quote not in table
    return ".".join(f"{quote}{part}{quote}" for part in table.split("."))


def tls_context(config: SqlConfig) -> ssl.SSLContext | None:
    """One that verifies the server's certificate and name; None where TLS is not asked for."""
    return ssl.create_default_context(cafile=config.tls_ca_path) if config.tls else None


def _in_words(error: Exception) -> str:
    """What the library says, on one line; its numbers are of no use to the reader."""
    said = [_words(error)]
    if error.__cause__ is not None:
        # aiomysql says that it cannot connect, and why only in the cause.
        said.append(_words(error.__cause__))
    line = " ".join(": ".join(said).split())
    return line if len(line) <= MAX_MESSAGE_LENGTH else f"{line[: MAX_MESSAGE_LENGTH - 1]}…"


def _words(error: BaseException) -> str:
    last = error.args[-1] if error.args else ""
    return (last if isinstance(last, str) else str(error)) or type(error).__name__
