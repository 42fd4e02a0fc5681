"""How jobs that the leader has decided come to SQS: out of Redis, or out of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.errors import StoreUnavailable
from engine.webhooks.job import encode
from engine.webhooks.queues.sqs.outbox import MemoryOutbox, RedisOutbox
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


async def test_what_cannot_be_sent_before_the_end_is_told(
    open_queues: Callable[..., SqsQueues], caplog: pytest.LogCaptureFixture
) -> None:
    queues = open_queues(endpoint_url="http://127.0.0.1:9")
    queue = await queues.queue(MemoryOutbox())
    await queue.put([plain_job("a")])
    await queue.stop()
    assert "1 webhook requests are lost, SQS did not take them: queue" in caplog.text
