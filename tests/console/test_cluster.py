"""What Redis says of the cluster: of a real one, with real heartbeats."""

from __future__ import annotations

import os

from engine.config.redis import RedisOptions
from engine.console.cluster import Cluster
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.redis_keys import Keys
from engine.redis.pool import connect
from tests.support.valkey import ValkeyServer

#: Nobody else's on the shared server.
PREFIX = f"console-{os.getpid()}:"


async def test_who_leads_and_who_lives(redis_server: ValkeyServer) -> None:
    client = connect(RedisOptions(path=str(redis_server.socket)))
    cluster = Cluster(client, Keys(PREFIX), clustered=False)
    try:
        found = await cluster.read()
        assert (found["leader"], found["workers"]) == ("", {})
        store = RedisOccupancy(client, PREFIX, "topics:", 2.0)
        for name in ("a", "b", "c"):
            await store.join(name)
        await store.acquire("a", 60_000)
        await store.leave("c")
        found = await cluster.read()
        assert (found["leader"], found["workers"].keys()) == ("a", {"a", "b"})
        assert all(0 <= age < 60 for age in found["workers"].values())
        assert (found["redis"]["role"], found["redis"]["valkey_version"][:2]) == ("master", "9.")
        assert found["redis"]["answer_ms"] > 0
    finally:
        await client.aclose()


async def test_a_redis_that_is_not_there_is_said() -> None:
    client = connect(RedisOptions(path="/nowhere/redis.sock", password="hidden"))
    try:
        found = await Cluster(client, Keys(PREFIX), clustered=False).read()
    finally:
        await client.aclose()
    assert found.keys() == {"error"}
    assert "hidden" not in found["error"]
