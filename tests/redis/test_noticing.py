"""Connections that were reset while nobody used them cost no command, and neither does a pause of this process."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.config.redis import RedisOptions
from engine.redis import cluster_client, pool
from engine.redis.pool import connect
from engine.redis.scripts import bounded
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


async def test_a_reply_that_came_while_this_process_stood_still_is_read(
    redis_cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_s = 2.0
    monkeypatch.setattr(pool, "SOCKET_TIMEOUT_S", limit_s)
    monkeypatch.setattr(cluster_client, "SOCKET_TIMEOUT_S", limit_s)
    # The limit of the connection runs out, that of the caller, and both.
    limits_s = (60.0, limit_s / 2, limit_s)
    key = f"test-{uuid.uuid4().hex}"
    member = redis_cluster.master_of(key)
    with ValkeyServer() as server, server.client() as admin:
        clients = [connect(RedisOptions.parse(server.url)), connect(redis_cluster.redis_options())]

        async def wait_for_reply(client: Redis, timeout_s: float) -> Any:
            async with bounded("blpop", timeout_s):
                return await client.blpop([key], 0)

        try:
            asked = [
                asyncio.create_task(wait_for_reply(client, timeout_s)) for client in clients for timeout_s in limits_s
            ]
            for call in (admin.execute_command, member.call):
                await until(lambda: call("INFO", "clients")["blocked_clients"] == len(limits_s), what="all are asked")  # noqa: B023
            admin.rpush(key, *limits_s)
            member.call("RPUSH", key, *limits_s)
            time.sleep(limit_s + 1)  # noqa: ASYNC251 (the loop stands still, as in a process that was stopped)
            assert len(await asyncio.gather(*asked)) == len(asked)
        finally:
            for client in clients:
                await client.aclose()


async def test_a_server_that_does_not_answer_is_given_up_and_its_late_reply_is_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "SOCKET_TIMEOUT_S", 0.1)
    with ValkeyServer() as server:
        client = connect(RedisOptions.parse(server.url))
        try:
            await client.set("a-key", "1")
            server.pause()
            with pytest.raises(RedisTimeoutError, match="Timeout reading from"):
                await client.get("a-key")
            server.resume()
            assert await client.echo("mine") == b"mine"
        finally:
            await client.aclose()
