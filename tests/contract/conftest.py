"""Fixtures of the contract tests: one for each interface, giving every driver of it in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.occupancy.clusters import Cluster, InMemory, InRedis


@pytest.fixture(params=["memory", "redis"])
def open_cluster(request: pytest.FixtureRequest) -> Callable[[], Awaitable[Cluster]]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""

    async def opened() -> Cluster:
        if not url:
            return InMemory()
        cluster = InRedis(url)
        await cluster.listen()
        return cluster

    return opened
