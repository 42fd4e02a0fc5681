"""The redis-py client of a cluster: its failures are errors of ours, and scripts keep their keys together."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from redis.crc import key_slot

from engine.config.redis import Node, RedisOptions
from engine.errors import StoreUnavailable
from engine.occupancy.declare_dead import declare_dead
from engine.redis.pool import connect
from engine.stores.cache_redis import RedisCache
from engine.webhooks.queues.redis import RedisQueue
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import free_port
from tests.webhooks.making import plain_job


async def test_a_script_waits_while_its_keys_are_on_two_nodes(redis_cluster: ValkeyCluster) -> None:
    """Let through, it would find half of the keys and make the other half anew."""
    prefix = f"{{{uuid.uuid4().hex}}}:"
    slot = key_slot(prefix.encode())
    source = redis_cluster.owner(slot)
    target = next(member for member in redis_cluster.masters if member is not source)
    client = connect(redis_cluster.redis_options())
    queue = RedisQueue(client, prefix, "me")
    try:
        await queue.put([plain_job("a")])
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        with pytest.raises(StoreUnavailable):
            await queue.attach()
        assert target.call("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
        # A command for one key goes where the key is, or will be.
        await queue.put([plain_job("b")])
        for member in (source, target):
            member.call("CLUSTER", "SETSLOT", slot, "STABLE")
        assert await queue.attach() is not None
        assert [job.id for job in (await queue.reserve(10)).jobs] == ["a", "b"]
    finally:
        await client.aclose()


async def test_many_at_once_wait_for_their_turn(redis_cluster: ValkeyCluster) -> None:
    client = connect(redis_cluster.redis_options())
    cache = RedisCache(client, f"{uuid.uuid4().hex}:")
    try:
        await asyncio.gather(*(cache.put("1", f"c{n}", "e", str(n), 60) for n in range(40)))
        found = await asyncio.gather(*(cache.get("1", f"c{n}") for n in range(40)))
        assert [event and event[1] for event in found] == [*map(str, range(40))]
    finally:
        await client.aclose()


async def test_a_cluster_that_is_not_there_is_an_error_of_ours() -> None:
    options = RedisOptions(nodes=(Node("127.0.0.1", free_port()),))
    client = connect(options)
    try:
        with pytest.raises(StoreUnavailable):
            await RedisCache(client, "p:").get("1", "cache-a")
        with pytest.raises(StoreUnavailable):
            await RedisCache(client, "p:").put("1", "cache-a", "e", "d", 60)
    finally:
        await client.aclose()
    with pytest.raises(StoreUnavailable):
        declare_dead(options, "k:", "t:", "a", 1.0)


def test_the_supervisor_reaches_the_shard_of_occupancy(redis_cluster: ValkeyCluster) -> None:
    prefix = f"{uuid.uuid4().hex}:"
    shard = redis_cluster.master_of("{0}")
    shard.call("ZADD", f"{prefix}{{0}}:workers", 5, "a")
    try:
        declare_dead(redis_cluster.redis_options(), prefix, "t:{0}:", "a", 5.0)
        assert shard.call("ZSCORE", f"{prefix}{{0}}:workers", "a") == 0
    finally:
        shard.call("DEL", f"{prefix}{{0}}:workers")
