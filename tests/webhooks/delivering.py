"""A delivery with everything around it, for the tests: queue, apps, metrics, and a sender that does as it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from engine.app import App, Endpoint, RetryPolicy
from engine.app_manager import AppManager
from engine.errors import DeliveryError
from engine.interfaces import Job, WebhookQueue, WebhookSender
from engine.metrics.metrics import Metrics
from engine.webhooks.delivery.attempts import Attempts
from engine.webhooks.delivery.consumer import Delivery
from engine.webhooks.job import make_job
from engine.webhooks.queues.memory import MemoryQueue
from engine.webhooks.queues.redis import RedisQueue
from tests.support.waiting import until
from tests.webhooks.making import NOW_MS, make_app, make_endpoint, make_event

SOON = RetryPolicy(delays_s=(0.01, 0.02), jitter=0.1)


def endpoint(endpoint_id: str = "e1", **fields: Any) -> Endpoint:
    fields.setdefault("retry", SOON)
    return make_endpoint(endpoint_id, **fields)


def numbered(number: int, *channels: str, endpoint_id: str = "e1") -> Job:
    """A job whose events carry `number` as their time."""
    return make_job("app-1", endpoint_id, [make_event(c, time_ms=number) for c in channels or ("room",)], NOW_MS)


class Sender:
    """Notes every attempt; `behave` may wait or raise before it counts as delivered."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, int, int]] = []
        self.delivered: list[tuple[str, str, int]] = []
        self.under_way: dict[str, int] = {}
        self.most_under_way: dict[str, int] = {}
        self.behave: Callable[[Endpoint, Job], Awaitable[None]] = self._succeed

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, app: App, endpoint: Endpoint, job: Job) -> None:
        events = [(e["channel"], e["time_ms"]) for e in json.loads(job.body)["events"]]
        self.attempts.append((endpoint.id, events[0][1], job.attempt + 1))
        now = self.under_way[endpoint.id] = self.under_way.get(endpoint.id, 0) + 1
        self.most_under_way[endpoint.id] = max(now, self.most_under_way.get(endpoint.id, 0))
        try:
            await self.behave(endpoint, job)
        finally:
            self.under_way[endpoint.id] -= 1
        self.delivered += [(endpoint.id, channel, number) for channel, number in events]

    def numbers(self, channel: str, endpoint_id: str = "e1") -> list[int]:
        """What was delivered of one channel, in order."""
        return [n for e, c, n in self.delivered if (e, c) == (endpoint_id, channel)]

    async def _succeed(self, endpoint: Endpoint, job: Job) -> None:
        return


def fail_first(times: int, *numbers: int) -> Callable[[Endpoint, Job], Awaitable[None]]:
    """The first attempts at the jobs with these numbers fail."""

    async def behave(_: Endpoint, job: Job) -> None:
        if json.loads(job.body)["events"][0]["time_ms"] in numbers and job.attempt < times:
            raise DeliveryError("status 500")

    return behave


class DeliveringApp:
    """One app on one queue. `delivery()` makes as many consumers as a test wants."""

    def __init__(self, queue: WebhookQueue, sender: WebhookSender, *endpoints: Endpoint) -> None:
        self.queue = queue
        self.sender = sender
        self.app = make_app(*(endpoints or (endpoint(),)))
        self.metrics = Metrics()

    def delivery(self, queue: WebhookQueue | None = None, **options: Any) -> Delivery:
        queue = queue or self.queue
        attempts = Attempts(queue, AppManager([self.app]), {"http": self.sender}, self.metrics)
        return Delivery(queue, attempts, self.metrics, **options)

    async def is_empty(self) -> bool:
        depth = await self.queue.depth()
        return not (depth["waiting"] or depth["in_flight"] or depth["delayed"])

    async def until_empty(self) -> None:
        await until(self.is_empty)


@asynccontextmanager
async def open_queue(driver: str, redis_url: str) -> AsyncIterator[WebhookQueue]:
    if driver == "memory":
        yield MemoryQueue()
        return
    client = Redis.from_url(redis_url)
    try:
        yield RedisQueue(client, f"{uuid4().hex}:", "worker")
    finally:
        await client.aclose()
