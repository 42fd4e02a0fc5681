"""The contract of `AnswerStore`, run on every driver, and the bounds of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.interfaces import AnswerStore
from engine.redis.pool import connect
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.idempotency_redis import MAX_ANSWER_BYTES, RedisAnswers
from tests.contract.conftest import redis_options

Scenario = Callable[[AnswerStore], Coroutine[None, None, None]]


@pytest.fixture(params=["memory", "redis", "redis-cluster"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    options = redis_options(request)

    async def scenario_in_store(scenario: Scenario) -> None:
        if options is None:
            await scenario(MemoryAnswers())
            return
        async with contextlib.aclosing(connect(options)) as client:
            prefix = f"{uuid4().hex}:"
            await scenario(RedisAnswers(client, prefix))
            for key in [key async for key in client.scan_iter(f"{prefix}*")]:
                assert 0 < await client.pttl(key) <= 60_000
                await client.delete(key)

    return lambda scenario: asyncio.run(scenario_in_store(scenario))


def test_only_the_first_gets_the_key(run: Callable[[Scenario], None]) -> None:
    async def scenario(answers: AnswerStore) -> None:
        claims = await asyncio.gather(*(answers.claim("1", "k", 60) for _ in range(20)))
        assert claims.count(None) == 1
        assert claims.count(b"") == 19

    run(scenario)


def test_the_answer_is_given_again(run: Callable[[Scenario], None]) -> None:
    async def scenario(answers: AnswerStore) -> None:
        assert await answers.claim("1", "k", 60) is None
        await answers.keep("1", "k", b'{"channels":{}}', 60)
        assert [await answers.claim("1", "k", 60) for _ in range(2)] == [b'{"channels":{}}'] * 2

    run(scenario)


def test_apps_and_keys_are_kept_apart(run: Callable[[Scenario], None]) -> None:
    async def scenario(answers: AnswerStore) -> None:
        for app_id, key in (("1", "k"), ("2", "k"), ("1", "K"), ("1", "k\ud800☃/\n"), ("1", "k" * 1000)):
            assert await answers.claim(app_id, key, 60) is None

    run(scenario)


def test_a_released_key_is_free(run: Callable[[Scenario], None]) -> None:
    async def scenario(answers: AnswerStore) -> None:
        assert await answers.claim("1", "k", 60) is None
        await answers.release("1", "k")
        await answers.release("1", "never claimed")
        assert await answers.claim("1", "k", 60) is None

    run(scenario)


def test_memory_forgets_in_time_and_the_oldest_first() -> None:
    async def scenario() -> None:
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

    asyncio.run(scenario())


@pytest.mark.parametrize("value", [b"[]", b"{", b"null", b"{" + b" " * MAX_ANSWER_BYTES + b"}"])
def test_what_others_wrote_is_no_answer(redis_url: str, value: bytes) -> None:
    async def scenario() -> None:
        async with Redis.from_url(redis_url) as client:
            prefix = f"{uuid4().hex}:"
            answers = RedisAnswers(client, prefix)
            await answers.claim("1", "k", 60)
            (name,) = await client.keys(f"{prefix}*")
            await client.set(name, value, ex=60)
            assert await answers.claim("1", "k", 60) == b""
            await client.delete(name)

    asyncio.run(scenario())


def test_without_redis_nothing_is_promised(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Redis.from_url(f"unix://{tmp_path}/none.sock") as client:
            with pytest.raises(StoreUnavailable):
                await RedisAnswers(client, "p:").claim("1", "k", 60)

    asyncio.run(scenario())
