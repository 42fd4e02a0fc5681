"""A supervisor that is to stop asks whether there is anybody else."""

from __future__ import annotations

import secrets

import pytest
from redis.asyncio import Redis

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.occupancy.other_nodes import others_live
from engine.occupancy.redis_keys import Keys


async def test_only_workers_of_others_count(redis_url: str) -> None:
    prefix = f"{secrets.token_hex(4)}:"
    options = RedisOptions.parse(redis_url)
    assert not others_live(options, prefix, {"ours"}, 1.0)
    client = Redis.from_url(redis_url)
    await client.zadd(Keys(prefix).workers, {"ours": 1})
    assert not others_live(options, prefix, {"ours", "ours-too"}, 1.0)
    await client.zadd(Keys(prefix).workers, {"theirs": 1})
    assert others_live(options, prefix, {"ours"}, 1.0)
    await client.aclose()


def test_a_redis_that_is_away_is_said() -> None:
    with pytest.raises(StoreUnavailable):
        others_live(RedisOptions(path="/nowhere/socket"), "p:", set(), 0.2)
