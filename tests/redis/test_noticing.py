"""Connections that were reset while nobody used them cost no command."""

from __future__ import annotations

import asyncio

from engine.config.redis import RedisOptions
from engine.redis.pool import connect
from tests.support.bad_proxy import BadProxy
from tests.support.valkey import ValkeyServer
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import free_port, until

AT_ONCE = 5


async def test_a_pool_goes_on_after_all_of_its_connections_were_reset() -> None:
    port = free_port()
    with ValkeyServer(("--port", str(port), "--bind", "127.0.0.1")) as server, BadProxy(port) as proxy:
        client = connect(RedisOptions.parse(f"redis://127.0.0.1:{proxy.port}"))
        try:
            for round_ in range(1, 4):
                await asyncio.gather(*(client.incr("counted") for _ in range(AT_ONCE)))
                proxy.mode = "reset"
                with server.client() as admin:
                    await until(lambda: len(admin.client_list()) == 1, what="only ours is left")
                pool = client.connection_pool
                await until(lambda: not any(each.is_connected for each in pool._available_connections))  # noqa: B023
                proxy.mode = "carry"
                assert await client.get("counted") == str(round_ * AT_ONCE).encode()
        finally:
            await client.aclose()


async def test_so_does_a_cluster_client(redis_cluster: ValkeyCluster) -> None:
    client = connect(redis_cluster.redis_options())
    try:
        assert await client.set("a-key", "1")
        for node in client.nodes_manager.nodes_cache.values():  # type: ignore[attr-defined]
            for connection in node._connections:
                # As the loop does when it reads a reset.
                connection._reader.set_exception(ConnectionResetError())
                connection._writer.transport.abort()
        assert await client.get("a-key") == b"1"
    finally:
        await client.aclose()
