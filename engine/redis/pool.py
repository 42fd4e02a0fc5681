"""The redis-py client that everything but the hot path shares."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.config.redis import RedisOptions

#: Connections of one worker; scripts of different parts may run side by side, each part's own are in order.
MAX_CONNECTIONS = 16
CONNECT_TIMEOUT_S = 2.0
#: A lost Redis is noticed within this time (with the caller's own time-outs at or below it).
SOCKET_TIMEOUT_S = 3.0


def connect(options: RedisOptions) -> Redis:
    """A client over a bounded pool. Connects when first used; never retries by itself, since callers know what may be
    repeated."""
    settings: dict[str, Any] = {
        "db": options.db,
        "username": options.username,
        "password": options.password,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": MAX_CONNECTIONS,
        "timeout": SOCKET_TIMEOUT_S,
        "protocol": 2,
    }
    if options.path is not None:
        settings |= {"connection_class": UnixDomainSocketConnection, "path": options.path}
    else:
        settings |= {"host": options.host, "port": options.port, "socket_connect_timeout": CONNECT_TIMEOUT_S}
        if options.tls:
            settings["connection_class"] = SSLConnection
    return Redis.from_pool(BlockingConnectionPool(**settings))
