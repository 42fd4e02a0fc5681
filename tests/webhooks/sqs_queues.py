"""Queues in moto's SQS for the tests: each scenario on queues of its own, and workers that die or stand still."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from engine.config.backends import QueueSqs
from engine.interfaces import Job
from engine.webhooks.queues.sqs.queue import SqsQueue
from tests.support.aws import REGION
from tests.support.waiting import PATIENCE_S


class SqsQueues:
    """Queues of one name, with the same options. Each is a worker of its own."""

    def __init__(self, url: str, **options: Any) -> None:
        where = {"endpoint_url": url, "region": REGION, "queue_url_prefix": f"{url}/123456789012/q{uuid4().hex}-"}
        self.config = QueueSqs(**(where | {"wait_time_seconds": 0} | options))
        self._opened: list[SqsQueue] = []

    async def queue(self, outbox: Any = None, **options: Any) -> SqsQueue:
        queue = SqsQueue(self.config, outbox, **options)
        self._opened.append(queue)
        await queue.start()
        return queue

    async def consumer(self, outbox: Any = None, **options: Any) -> SqsQueue:
        queue = await self.queue(outbox, **options)
        assert await queue.attach() is not None
        return queue

    async def close(self) -> None:
        for queue in self._opened:
            await queue.stop()


async def taken(queue: SqsQueue, count: int) -> list[Job]:
    """The next `count` jobs, as they come."""
    jobs: list[Job] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(jobs) < count:
            jobs += (await queue.reserve(count - len(jobs))).jobs
            await asyncio.sleep(0.01)
    return jobs


async def ids(queue: SqsQueue, limit: int = 10) -> list[str]:
    return [job.id for job in (await queue.reserve(limit)).jobs]
