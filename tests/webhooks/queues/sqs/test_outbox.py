"""How jobs that the leader has decided come to SQS: out of Redis, or out of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.interfaces import Job
from engine.metrics.metrics import Metrics
from engine.webhooks.job import decode, encode
from engine.webhooks.queues.sqs.outbox import MemoryOutbox, RedisOutbox
from engine.webhooks.room import Limits
from tests.webhooks.making import plain_job
from tests.webhooks.sqs_queues import SqsQueues, taken


async def test_jobs_of_the_leaders_commit_go_on_to_sqs(open_queues: Callable[..., SqsQueues], redis_url: str) -> None:
    queues = open_queues()
    client, name = Redis.from_url(redis_url), f"{uuid4().hex}:outbox"
    try:
        queue = await queues.consumer(RedisOutbox(client, name))
        assert queue.default_list == name
        waiting = asyncio.create_task(queue.wait(5.0))
        await client.rpush(name, encode(plain_job("a")), b"no job", encode(plain_job("b")))
        assert (await queue.depth())["waiting"] == 3
        await waiting
        assert sorted(job.id for job in await taken(queue, 2)) == ["a", "b"]
        assert await client.llen(name) == 0
        # The batchers' jobs need no detour.
        await queue.put([plain_job("c")])
        assert await client.llen(name) == 0
        assert [job.id for job in await taken(queue, 1)] == ["c"]
        assert (await queue.depth())["dead"] == 1
    finally:
        await client.aclose()


async def test_in_one_process_a_job_is_taken_without_any_wait(open_queues: Callable[..., SqsQueues]) -> None:
    """So nothing can happen between the leader's look, its jobs and its commit."""
    queues = open_queues()
    queue = await queues.queue(MemoryOutbox(max_jobs=3))
    assert queue.default_list is None
    coroutine = queue.put([plain_job("a"), plain_job("b"), plain_job("c")])
    with pytest.raises(StopIteration):
        coroutine.send(None)
    with pytest.raises(StoreUnavailable, match="3 webhook requests wait for SQS already"):
        await queue.put([plain_job("d")])
    assert (await queue.depth())["waiting"] == 3
    await queue.stop()
    assert [job.id for job in await taken(await queues.consumer(), 3)] == ["a", "b", "c"]


LIMITS = Limits(lane_bytes=20_000, app_bytes=30_000)


def jobs_of(endpoint_id: str, number: int) -> list[Job]:
    return [replace(plain_job(f"{endpoint_id}-{n}"), endpoint_id=endpoint_id, body="x" * 1000) for n in range(number)]


async def test_an_endpoint_takes_its_bytes_of_the_outbox_and_no_more(redis_url: str) -> None:
    client, name = Redis.from_url(redis_url), f"{uuid4().hex}:outbox"
    try:
        in_redis, in_memory = RedisOutbox(client, name, limits=LIMITS), MemoryOutbox(limits=LIMITS)
        for jobs in (jobs_of("loud", 40), jobs_of("quiet", 2)):
            await client.rpush(name, *map(encode, jobs))
            in_memory.take(jobs)
        for outbox in (in_redis, in_memory):
            dropped = await outbox.bound()
            left = [decode(entry).id for entry in await outbox.first(100)]
            assert left == [*(f"loud-{n}" for n in range(len(left) - 2)), "quiet-0", "quiet-1"]
            assert dropped == {("app-1", "loud"): 42 - len(left)}
            assert 10 < len(left) < 20
            assert await outbox.bound() == {}, "there is room now"
            # What is gone makes room.
            await outbox.drop(await outbox.first(100))
            assert await outbox.size() == 0
        in_memory.take(jobs_of("loud", 5))
        assert await in_memory.size() == 5
    finally:
        await client.aclose()


async def test_what_an_outbox_drops_is_counted_and_told(
    open_queues: Callable[..., SqsQueues], caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    queue = await open_queues().consumer(MemoryOutbox(limits=LIMITS), metrics=metrics)
    await queue.put(jobs_of("loud", 40))
    queue._bound_at = 0.0
    await queue.reserve(1)
    assert metrics.value("webhook_requests_dropped_total", "app-1", "loud") > 20
    assert "endpoint loud of app app-1 has no room left" in caplog.text


async def test_what_cannot_be_sent_before_the_end_is_told(
    open_queues: Callable[..., SqsQueues], caplog: pytest.LogCaptureFixture
) -> None:
    queues = open_queues(endpoint_url="http://127.0.0.1:9")
    queue = await queues.queue(MemoryOutbox())
    await queue.put([plain_job("a")])
    await queue.stop()
    assert "1 webhook requests are lost, SQS did not take them: queue" in caplog.text
