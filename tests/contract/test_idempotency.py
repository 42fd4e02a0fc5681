"""The contract of `IdempotencyStore`, run on every driver, and the bounds of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.interfaces import IdempotencyStore
from engine.redis.pool import connect
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.idempotency_redis import MAX_ANSWER_BYTES, RedisAnswers
from tests.contract.conftest import redis_options


@pytest.fixture(params=["memory", "redis", "redis-cluster"])
async def answers(request: pytest.FixtureRequest) -> AsyncIterator[IdempotencyStore]:
    """Every driver in turn."""
    options = redis_options(request)
    if options is None:
        yield MemoryAnswers()
        return
    async with contextlib.aclosing(connect(options)) as client:
        prefix = f"{uuid4().hex}:"
        yield RedisAnswers(client, prefix)
        for key in [key async for key in client.scan_iter(f"{prefix}*")]:
            assert 0 < await client.pttl(key) <= 60_000
            await client.delete(key)


async def test_only_the_first_gets_the_key(answers: IdempotencyStore) -> None:
    claims = await asyncio.gather(*(answers.claim("1", "k", 60) for _ in range(20)))
    assert claims.count(None) == 1
    assert claims.count(b"") == 19


async def test_the_answer_is_given_again(answers: IdempotencyStore) -> None:
    assert await answers.claim("1", "k", 60) is None
    await answers.keep("1", "k", b'{"channels":{}}', 60)
    assert [await answers.claim("1", "k", 60) for _ in range(2)] == [b'{"channels":{}}'] * 2


async def test_apps_and_keys_are_kept_apart(answers: IdempotencyStore) -> None:
    for app_id, key in (("1", "k"), ("2", "k"), ("1", "K"), ("1", "k\ud800☃/\n"), ("1", "k" * 1000)):
        assert await answers.claim(app_id, key, 60) is None


async def test_a_released_key_is_free(answers: IdempotencyStore) -> None:
    assert await answers.claim("1", "k", 60) is None
    await answers.release("1", "k")
    await answers.release("1", "never claimed")
    assert await answers.claim("1", "k", 60) is None


async def test_memory_forgets_in_time_and_the_oldest_first() -> None:
    now_s = 0.0
    answers = MemoryAnswers(max_keys=2, clock=lambda: now_s)
    await answers.keep("1", "a", b"{}", 10)
    now_s = 9.9
    assert await answers.claim("1", "a", 5) == b"{}"
    now_s = 10.0
    assert await answers.claim("1", "a", 5) is None
    await answers.keep("1", "b", b"{}", 10)
    await answers.keep("1", "c", b"{}", 10)
    assert await answers.claim("1", "a", 5) is None


@pytest.mark.parametrize("value", [b"[]", b"{", b"null", b"{" + b" " * MAX_ANSWER_BYTES + b"}"])
async def test_what_others_wrote_is_no_answer(redis_url: str, value: bytes) -> None:
    async with Redis.from_url(redis_url) as client:
        prefix = f"{uuid4().hex}:"
        answers = RedisAnswers(client, prefix)
        await answers.claim("1", "k", 60)
        (name,) = await client.keys(f"{prefix}*")
        await client.set(name, value, ex=60)
        assert await answers.claim("1", "k", 60) == b""
        await client.delete(name)


async def test_without_redis_nothing_is_promised(tmp_path: Path) -> None:
    async with Redis.from_url(f"unix://{tmp_path}/none.sock") as client:
        with pytest.raises(StoreUnavailable):
            await RedisAnswers(client, "p:").claim("1", "k", 60)
