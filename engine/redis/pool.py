"""The redis-py clients of everything but the hot path: one that a worker shares, a blocking one for the supervisor.

Nothing here is on the hot path, whose links are in `pubsub/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
import redis.backoff
import redis.cluster
import redis.retry
import redis.sentinel
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException

from engine.config.redis import RedisOptions
from engine.redis.cluster_client import ClusterClient
from engine.redis.noticing import Encrypted, OverUnixSocket, Plain
from engine.redis.sentinel import master_pool, sentinel_settings
from engine.redis.tls import library_settings

#: Connections of one worker; scripts of different parts may run side by side, each part's own are in order.
MAX_CONNECTIONS = 16
CONNECT_TIMEOUT_S = 2.0
#: A lost Redis is noticed within this time (with the caller's own time-outs at or below it).
SOCKET_TIMEOUT_S = 3.0


def connect(options: RedisOptions) -> Redis:
    """A client over a bounded pool. Connects when first used; never retries by itself, since callers know what may be
    repeated. That of a cluster has the same commands, each for keys of one slot."""
    settings: dict[str, Any] = {
        "username": options.username,
        "password": options.password,
        "protocol": 2,
    }
    if options.nodes:
        settings |= library_settings(options)
        return cast(Redis, ClusterClient(options.nodes, tls=options.tls, max_connections=MAX_CONNECTIONS, **settings))
    settings |= {
        "db": options.db,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": MAX_CONNECTIONS,
        "timeout": SOCKET_TIMEOUT_S,
    }
    if options.sentinels:
        settings |= {"socket_connect_timeout": CONNECT_TIMEOUT_S} | library_settings(options)
        return Redis.from_pool(master_pool(options, **settings))
    if options.path is not None:
        settings |= {"connection_class": OverUnixSocket, "path": options.path}
    else:
        settings |= {"host": options.host, "port": options.port, "socket_connect_timeout": CONNECT_TIMEOUT_S}
        settings |= {"connection_class": Encrypted if options.tls else Plain} | library_settings(options)
    return Redis.from_pool(BlockingConnectionPool(**settings))


async def publish(client: Redis, options: RedisOptions, topic: bytes, message: bytes) -> int:
    """How many heard it. In a cluster only the shard of the topic's slot carries it."""
    word = "SPUBLISH" if options.nodes else "PUBLISH"
    return int(await client.execute_command(word, topic, message))  # type: ignore[no-untyped-call]


@contextmanager
def blocking(options: RedisOptions, timeout_s: float) -> Iterator[redis.Redis]:
    """A blocking client for one call; every step of it, connecting included, is given up after `timeout_s`.

    Raises RedisError or OSError, also when nothing can be connected to.
    """
    settings: dict[str, Any] = {
        "username": options.username,
        "password": options.password,
        "ssl": options.tls,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        **library_settings(options),
    }
    client, sentinel = None, None
    try:
        if options.nodes:
            nodes = [redis.cluster.ClusterNode(*node) for node in options.nodes]  # type: ignore[no-untyped-call]
            client = cast(redis.Redis, redis.RedisCluster(startup_nodes=nodes, require_full_coverage=False, **settings))
        elif options.sentinels:
            sentinel = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
                options.sentinels, sentinel_kwargs=sentinel_settings(options)
            )
            client = sentinel.master_for(options.name, db=options.db, **settings)  # type: ignore[no-untyped-call]
        else:
            settings |= {"host": options.host, "port": options.port, "unix_socket_path": options.path}
            client = redis.Redis(db=options.db, **settings)
        yield client
    except RedisClusterException as error:
        # No node answers, or none has the slot. Not among the library's other errors.
        raise redis.ConnectionError(str(error)) from error
    finally:
        for opened in (client, *(sentinel.sentinels if sentinel is not None else ())):
            if opened is not None:
                opened.close()
