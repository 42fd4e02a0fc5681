"""Fixtures of the contract tests: one for each interface, giving every driver of it in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from engine.config.redis import TAG, RedisOptions
from tests.occupancy.clusters import Cluster, InMemory, InRedis
from tests.support.valkey_cluster import ValkeyCluster


def redis_options(request: pytest.FixtureRequest) -> RedisOptions | None:
    """The server that a fixture's parameter names: `redis`, `redis-cluster`, or none."""
    match request.param:
        case "redis":
            return RedisOptions.parse(request.getfixturevalue("redis_url"))
        case "redis-cluster":
            cluster: ValkeyCluster = request.getfixturevalue("redis_cluster")
            return cluster.redis_options()
        case _:
            return None


@pytest.fixture(params=["memory", "redis", "redis-cluster"])
def open_cluster(request: pytest.FixtureRequest) -> Callable[[], Awaitable[Cluster]]:
    options = redis_options(request)

    async def opened() -> Cluster:
        if options is None:
            return InMemory()
        if options.nodes:
            shard = request.getfixturevalue("redis_cluster").master_of(TAG)
            cluster = InRedis(f"redis://{shard.node}", options)
        else:
            cluster = InRedis(request.getfixturevalue("redis_url"))
        await cluster.listen()
        return cluster

    return opened
