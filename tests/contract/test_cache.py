"""The contract of `CacheStore`, run on every driver, and the bounds of each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.interfaces import CacheStore
from engine.redis.pool import connect
from engine.stores.cache_memory import MemoryCache, NoCache
from engine.stores.cache_redis import MAX_VALUE_BYTES, RedisCache
from tests.contract.conftest import redis_options


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["memory", "redis", "redis-cluster"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[CacheStore]:
    """Every driver in turn."""
    options = redis_options(request)
    if options is None:
        yield MemoryCache(100)
        return
    async with contextlib.aclosing(connect(options)) as client:
        yield RedisCache(client, f"{uuid4().hex}:")


async def test_the_last_event_is_kept(cache: CacheStore) -> None:
    assert await cache.get("1", "cache-a") is None
    await cache.put("1", "cache-a", "first", "1", 60)
    await cache.put("1", "cache-a", "App\\Event ☃", '{"a": "☃\\u0000"}', 60)
    found = await cache.get("1", "cache-a")
    assert found is not None
    assert found[:2] == ("App\\Event ☃", '{"a": "☃\\u0000"}')
    assert 58 <= found[2] <= 60


async def test_an_empty_event_is_an_event(cache: CacheStore) -> None:
    await cache.put("1", "cache-a", "e", "", 60)
    found = await cache.get("1", "cache-a")
    assert found is not None
    assert found[:2] == ("e", "")


async def test_apps_and_channels_do_not_see_each_other(cache: CacheStore) -> None:
    await cache.put("1", "cache-a", "e", "1", 60)
    await cache.put("2", "cache-a", "e", "2", 60)
    await cache.put("1", "cache-ab", "e", "3", 60)
    for app_id, channel, data in (("1", "cache-a", "1"), ("2", "cache-a", "2"), ("1", "cache-ab", "3")):
        found = await cache.get(app_id, channel)
        assert found is not None
        assert found[1] == data
    assert await cache.get("1", "cache-") is None


async def test_the_longest_event_that_an_app_may_publish(cache: CacheStore) -> None:
    data = "\x01" * 102_400
    await cache.put("1", "cache-a", "e", data, 60)
    found = await cache.get("1", "cache-a")
    assert found is not None
    assert found[1] == data


async def test_nothing_is_kept_by_the_driver_none() -> None:
    cache = NoCache()
    await cache.put("1", "cache-a", "e", "d", 60)
    assert await cache.get("1", "cache-a") is None


# --- memory


async def test_memory_forgets_in_time() -> None:
    clock = Clock()
    cache = MemoryCache(10, clock=clock)
    await cache.put("1", "cache-a", "e", "d", 60)
    clock.now_s += 59.5
    assert await cache.get("1", "cache-a") == ("e", "d", 0)
    clock.now_s += 0.5
    assert await cache.get("1", "cache-a") is None
    await cache.put("1", "cache-a", "e", "again", 60)
    assert await cache.get("1", "cache-a") == ("e", "again", 60)


async def test_memory_is_bounded_by_number() -> None:
    cache = MemoryCache(2)
    for name in ("cache-a", "cache-b", "cache-a", "cache-c"):
        await cache.put("1", name, "e", "d", 60)
    assert await cache.get("1", "cache-b") is None
    assert await cache.get("1", "cache-a") is not None
    assert await cache.get("1", "cache-c") is not None


async def test_memory_is_bounded_by_size() -> None:
    cache = MemoryCache(100, max_bytes=10_000)
    for n in range(20):
        await cache.put("1", f"cache-{n}", "e", "x" * 4000, 60)
    kept = [n for n in range(20) if await cache.get("1", f"cache-{n}") is not None]
    assert kept == [18, 19]
    await cache.put("1", "cache-19", "e", "x" * 20_000, 60)
    assert await cache.get("1", "cache-19") is None  # rather none than the event before
    assert await cache.get("1", "cache-18") is not None


# --- Redis


async def test_redis_forgets_in_time(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        prefix = f"{uuid4().hex}:"
        await RedisCache(client, prefix).put("1", "cache-a", "e", "d", 60)
        (key,) = await client.keys(f"{prefix}*")
        assert 0 < await client.pttl(key) <= 60_000


@pytest.mark.parametrize(
    "value",
    [b"text", b"{}", b"[]", b'["e"]', b'["e","d","x"]', b'["e",1]', b'[null,"d"]', b"\xff\xfe", b"[" * 5000],
    ids=lambda value: repr(value)[:20],
)
async def test_redis_is_not_trusted(redis_url: str, value: bytes) -> None:
    async with Redis.from_url(redis_url) as client:
        prefix = f"{uuid4().hex}:"
        cache = RedisCache(client, prefix)
        await cache.put("1", "cache-a", "e", "d", 60)
        (key,) = await client.keys(f"{prefix}*")
        await client.set(key, value, ex=60)
        assert await cache.get("1", "cache-a") is None


async def test_a_foreign_value_without_end_or_of_another_type(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        prefix = f"{uuid4().hex}:"
        cache = RedisCache(client, prefix)
        await cache.put("1", "cache-a", "e", "d", 60)
        (key,) = await client.keys(f"{prefix}*")
        await client.set(key, b'["e","d"]')
        assert await cache.get("1", "cache-a") == ("e", "d", 0)
        await client.delete(key)
        await client.rpush(key, "x")
        with pytest.raises(StoreUnavailable):
            await cache.get("1", "cache-a")
        await client.delete(key)


async def test_what_is_too_long_for_redis_is_not_kept_and_what_it_replaces_neither(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        cache = RedisCache(client, f"{uuid4().hex}:")
        await cache.put("1", "cache-a", "e", "d", 60)
        await cache.put("1", "cache-a", "e", "x" * MAX_VALUE_BYTES, 60)
        assert await cache.get("1", "cache-a") is None


async def test_redis_out_of_reach(tmp_path: Path) -> None:
    async with Redis.from_url(f"unix://{tmp_path}/nobody") as client:
        cache = RedisCache(client, "p:")
        with pytest.raises(StoreUnavailable):
            await cache.put("1", "cache-a", "e", "d", 60)
        with pytest.raises(StoreUnavailable):
            await cache.get("1", "cache-a")
