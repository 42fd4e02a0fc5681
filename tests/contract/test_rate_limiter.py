"""The contract of `RateLimiter`, run on every driver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.interfaces import RateDecision, RateLimiter
from engine.redis.pool import connect
from engine.stores.rate_limit_memory import MemoryRateLimiter
from engine.stores.rate_limit_redis import RedisRateLimiter
from tests.contract.conftest import redis_options

#: Lets the window end.
Pass = Callable[[], Coroutine[None, None, None]]


@pytest.fixture(params=["memory", "redis", "redis-cluster"])
async def windows(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RateLimiter, Pass]]:
    """Every driver in turn, each with what lets its windows end."""
    options = redis_options(request)
    if options is None:
        now_s = 1000.0

        async def pass_hour() -> None:
            nonlocal now_s
            now_s += 3600

        yield MemoryRateLimiter(clock=lambda: now_s), pass_hour
        return
    async with contextlib.aclosing(connect(options)) as client:
        prefix = f"{uuid4().hex}:"

        async def delete_windows() -> None:
            for key in [key async for key in client.scan_iter(f"{prefix}*")]:
                assert 0 < await client.pttl(key) <= 3_600_000
                await client.delete(key)

        yield RedisRateLimiter(client, prefix), delete_windows
        await delete_windows()


@pytest.fixture
def limiter(windows: tuple[RateLimiter, Pass]) -> RateLimiter:
    return windows[0]


@pytest.fixture
def end_windows(windows: tuple[RateLimiter, Pass]) -> Pass:
    return windows[1]


async def test_a_window_takes_its_limit_and_no_more(limiter: RateLimiter, end_windows: Pass) -> None:
    for _ in range(2):
        remaining = [(await limiter.hit("k", 3, 3600)).remaining for _ in range(3)]
        assert remaining == [2, 1, 0]
        for _ in range(2):
            refused = await limiter.hit("k", 3, 3600)
            assert (refused.allowed, refused.limit, refused.remaining) == (False, 3, 0)
            assert 3590 <= refused.retry_after_s <= 3600
        await end_windows()


async def test_an_allowed_request_need_not_be_retried(limiter: RateLimiter) -> None:
    assert await limiter.hit("k", 5, 3600) == RateDecision(True, 5, 4, 0)


async def test_a_refused_request_costs_nothing(limiter: RateLimiter) -> None:
    assert (await limiter.hit("k", 10, 3600, cost=8)).remaining == 2
    refused = await limiter.hit("k", 10, 3600, cost=3)
    assert (refused.allowed, refused.remaining) == (False, 2)
    assert (await limiter.hit("k", 10, 3600, cost=2)).remaining == 0


async def test_a_cost_above_the_limit_never_passes(limiter: RateLimiter) -> None:
    refused = await limiter.hit("k", 10, 3600, cost=11)
    assert (refused.allowed, refused.remaining) == (False, 10)
    assert refused.retry_after_s >= 1
    assert (await limiter.hit("k", 10, 3600, cost=10)).allowed


async def test_keys_are_counted_apart(limiter: RateLimiter) -> None:
    assert (await limiter.hit("a", 1, 3600)).allowed
    assert (await limiter.hit("b", 1, 3600)).allowed
    assert not (await limiter.hit("a", 1, 3600)).allowed


async def test_many_at_once_are_counted_exactly(limiter: RateLimiter) -> None:
    decisions = await asyncio.gather(*(limiter.hit("k", 7, 3600) for _ in range(20)))
    assert sum(decision.allowed for decision in decisions) == 7
    assert sorted(decision.remaining for decision in decisions if decision.allowed) == list(range(7))


async def test_a_window_does_not_slide_with_its_requests() -> None:
    now_s = 0.0
    limiter = MemoryRateLimiter(clock=lambda: now_s)
    await limiter.hit("k", 2, 10)
    now_s = 9.5
    await limiter.hit("k", 2, 10)
    assert await limiter.hit("k", 2, 10) == RateDecision(False, 2, 0, 1)
    now_s = 10.0
    assert (await limiter.hit("k", 2, 10)).remaining == 1


async def test_the_window_in_redis_does_not_slide_either(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        prefix = f"{uuid4().hex}:"
        limiter = RedisRateLimiter(client, prefix)
        await limiter.hit("k", 2, 3600)
        await client.pexpire(f"{prefix}k", 60_000)
        await limiter.hit("k", 2, 3600)
        refused = await limiter.hit("k", 2, 3600)
        assert 50 <= refused.retry_after_s <= 60
        await client.delete(f"{prefix}k")


async def test_a_counter_in_redis_that_lost_its_end_begins_again(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        prefix = f"{uuid4().hex}:"
        await client.set(f"{prefix}k", "99")
        assert (await RedisRateLimiter(client, prefix).hit("k", 2, 3600)).remaining == 1
        assert await client.pttl(f"{prefix}k") > 0
        await client.delete(f"{prefix}k")


async def test_memory_is_bounded() -> None:
    now_s = 0.0
    limiter = MemoryRateLimiter(max_keys=3, clock=lambda: now_s)
    for key in ("short", "a", "b"):
        await limiter.hit(key, 1, 1 if key == "short" else 100)
    now_s = 2.0
    await limiter.hit("c", 1, 100)
    # "short" has ended and makes room; those that still run are kept.
    assert [(await limiter.hit(key, 1, 100)).allowed for key in ("a", "b", "c")] == [False] * 3
    await limiter.hit("d", 1, 100)
    assert [(await limiter.hit(key, 1, 100)).allowed for key in ("b", "c", "d")] == [False] * 3


async def test_redis_out_of_reach(tmp_path: Path) -> None:
    async with Redis.from_url(f"unix://{tmp_path}/nobody") as client:
        with pytest.raises(StoreUnavailable):
            await RedisRateLimiter(client, "p:").hit("k", 1, 1)
