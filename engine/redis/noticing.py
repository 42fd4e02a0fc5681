"""Connections of redis-py that notice that they were reset while nobody used them, and whose time limits hold.

The library looks for an orderly end only, so that each connection that a balancer or a firewall has reset would cost
the next command that gets it. Its own limits take a pause of this process for the server's silence, and cost each
command a task. Decides nothing else about a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.tasks import within


class _Noticing(AbstractConnection):
    """:param socket_timeout: in seconds, for each command to be sent and for each reply to come."""

    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None

    def __init__(self, *, socket_timeout: float, **settings: Any) -> None:
        self._timeout_s = socket_timeout
        # The library is to have no limit of its own.
        super().__init__(socket_timeout=None, **settings)

    @property
    def is_connected(self) -> bool:
        return bool(super().is_connected) and not self._was_reset()

    async def connect(self) -> None:
        self._let_go()
        await super().connect()  # type: ignore[no-untyped-call]

    async def disconnect(self, *args: Any, **options: Any) -> None:
        self._let_go()
        await super().disconnect(*args, **options)

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        async with self._limit("writing to"):
            await super().send_packed_command(*args, **options)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        async with self._limit("reading from"):
            return await super().read_response(*args, **options)

    @asynccontextmanager
    async def _limit(self, doing: str) -> AsyncIterator[None]:
        """What is cut short has ended the connection: a reply that comes later must not be taken for another's."""
        try:
            async with within(self._timeout_s):
                yield
        except TimeoutError as error:
            raise RedisTimeoutError(f"Timeout {doing} {self._host_error()}") from error

    def _was_reset(self) -> bool:
        return self._reader is not None and self._reader.exception() is not None

    def _let_go(self) -> None:
        if self._was_reset():
            if self._writer is not None:
                self._writer.close()
            self._reader = self._writer = None


class Plain(_Noticing, Connection):
    pass


class Encrypted(_Noticing, SSLConnection):
    pass


class OverUnixSocket(_Noticing, UnixDomainSocketConnection):
    pass


class ToMaster(_Noticing, SentinelManagedConnection):
    pass


class ToMasterEncrypted(_Noticing, SentinelManagedSSLConnection):
    pass
