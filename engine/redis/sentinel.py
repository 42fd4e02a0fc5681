"""Where the master is, asked of the Sentinels through redis-py, and whether it still is there.

It only asks: Sentinel decides. After a fail-over by hand the old master takes writes for another ten seconds, all of
which are lost, until Sentinel makes it a replica and ends its connections; so nobody here waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from engine.config.redis import Node, RedisOptions
from engine.errors import StoreUnavailable
from engine.redis.noticing import ToMaster, ToMasterEncrypted
from engine.redis.tls import library_settings
from engine.tasks import within

#: For one Sentinel: the next one is asked then.
TIMEOUT_S = 0.4
#: How often a pool that is used asks whether the master is still the same.
FOLLOW_EVERY_S = 0.5


def asking(options: RedisOptions) -> Sentinel:
    """redis-py's way to ask: the Sentinels in turn, the one that answered last first."""
    return Sentinel(options.sentinels, sentinel_kwargs=sentinel_settings(options))  # type: ignore[no-untyped-call]


def sentinel_settings(options: RedisOptions) -> dict[str, Any]:
    return {
        "password": options.sentinel_password,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "ssl": options.tls,
        "protocol": 2,
        **library_settings(options),
    }


class MasterFinder:
    """Finds the master for one connection, and remembers to which it was sent."""

    def __init__(self, options: RedisOptions) -> None:
        self._sentinel = asking(options)
        self._name = options.name
        self._found: Node | None = None

    async def find(self) -> Node:
        """Raises StoreUnavailable when no Sentinel knows a master that is well."""
        try:
            self._found = Node(*await self._sentinel.discover_master(self._name))
        except Exception as error:
            # Whatever the library raises; see scripts.py.
            raise StoreUnavailable(str(error) or type(error).__name__) from error
        return self._found

    async def moved(self) -> bool:
        """Whether the Sentinels name another master now; False when they cannot say."""
        before = self._found
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with within(TIMEOUT_S):
                return await self.find() != before
        self._found = before
        return False

    async def stop(self) -> None:
        await self._sentinel.aclose()


def master_pool(options: RedisOptions, **settings: Any) -> ConnectionPool:
    """A bounded pool of connections to whichever server is the master when they are made."""
    made_of = ToMasterEncrypted if options.tls else ToMaster
    return _MasterPool(options.name, asking(options), connection_class=made_of, **settings)  # type: ignore[no-untyped-call]


class _MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks on behalf of the commands that it gives connections to; none gets one to a server that was the master."""

    _asked_at = 0.0

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= FOLLOW_EVERY_S:
            self._asked_at = now
            # No Sentinel answers, or none knows a master: what is connected may be well all the same.
            with contextlib.suppress(Exception):
                async with within(TIMEOUT_S):
                    await self.get_master_address()  # type: ignore[no-untyped-call]
        connection = await super().get_connection()  # type: ignore[no-untyped-call]
        if (connection.host, connection.port) != self.master_address:
            try:
                await connection.disconnect()
                await connection.connect()
            except BaseException:
                await self.release(connection)
                raise
        return connection

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()
