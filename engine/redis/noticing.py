"""Connections of redis-py that notice that they were reset while nobody used them.

The library looks for an orderly end only, so that each connection that a balancer or a firewall has reset would cost
the next command that gets it. Decides nothing else about a connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection


class _Noticing(AbstractConnection):
    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None

    @property
    def is_connected(self) -> bool:
        return bool(super().is_connected) and not self._was_reset()

    async def connect(self) -> None:
        self._let_go()
        await super().connect()  # type: ignore[no-untyped-call]

    async def disconnect(self, *args: Any, **options: Any) -> None:
        self._let_go()
        await super().disconnect(*args, **options)

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
