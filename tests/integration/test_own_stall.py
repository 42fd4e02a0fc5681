"""A worker that was stopped itself (SIGSTOP, a stalled host) keeps what it promises when it goes on."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import urllib.parse
from contextlib import AsyncExitStack, ExitStack

import redis

from tests.support.engine import APP, Engine, running
from tests.support.placing import connected_to
from tests.support.signing import signed_query
from tests.support.valkey import ValkeyServer
from tests.support.valkey_cluster import ValkeyCluster

#: What such a connection has sent last.
PUBLISHING = ("publish", "spublish", "unsubscribe", "sunsubscribe", "ping")
#: Longer than a connection to Redis may be silent.
STOPPED_S = 2.6


def test_what_is_published_to_a_worker_that_was_stopped_reaches_the_others() -> None:
    with ValkeyServer() as server:
        config = {"database": {"redis": {"url": server.url}}, "adapter": {"shared_memory": False}}
        with running(config, 2, noise=None) as engine, server.client() as admin:
            asyncio.run(_stop_and_publish(engine, [admin]))


def test_the_same_with_a_cluster() -> None:
    with ValkeyCluster() as cluster, ExitStack() as stack:
        config = {"adapter": {"driver": "redis-cluster"}, "database": {"redis": {"cluster_nodes": cluster.nodes}}}
        admins = [stack.enter_context(redis.Redis(port=master.port)) for master in cluster.masters]
        with running(config, 2, noise=None) as engine:
            asyncio.run(_stop_and_publish(engine, admins))


async def _stop_and_publish(engine: Engine, admins: list[redis.Redis]) -> None:
    async with AsyncExitStack() as stack:
        stopped, other = engine.workers()
        client = await connected_to(stack, engine, other)
        await client.subscribe("room")
        for number, cut in enumerate((False, True)):
            publisher = _publisher(engine, stopped)
            os.kill(stopped, signal.SIGSTOP)
            try:
                body = json.dumps({"name": f"after-{number}", "channel": "room", "data": "{}"}).encode()
                query = urllib.parse.urlencode(signed_query(APP["key"], APP["secret"], "POST", "/apps/1/events", body))
                publisher.request("POST", f"/apps/1/events?{query}", body, {"Content-Type": "application/json"})
                await asyncio.sleep(STOPPED_S)
                if cut:
                    _cut_publishers(admins)
            finally:
                os.kill(stopped, signal.SIGCONT)
            assert publisher.getresponse().status == 200
            publisher.close()
            await client.next(f"after-{number}", "room", timeout_s=3)
            if not cut:
                assert "connection to Redis lost" not in engine.log(), "the connections were well, and are not given up"


def _publisher(engine: Engine, worker: int) -> http.client.HTTPConnection:
    """A connection to this worker, on which a request was answered."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
        connection.request("GET", "/live")
        connection.getresponse().read()
        if engine.worker_of(connection.sock.getsockname()[1]) == worker:
            return connection
        connection.close()


def _cut_publishers(admins: list[redis.Redis]) -> None:
    """End every connection that publishes; those of workers that are well are there again within milliseconds."""
    for admin in admins:
        for client in admin.client_list():
            if client["cmd"] in PUBLISHING and client["sub"] == client.get("ssub", "0") == "0":
                admin.client_kill_filter(_id=client["id"])
