"""A leader with everything around it, and waiting for what it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from engine.app_manager import AppManager
from engine.interfaces import Interest, OccupancyStore, Report, WebhookQueue
from engine.leader.leader import build_leader
from engine.metrics.metrics import Metrics
from engine.webhooks.queues.memory import MemoryQueue
from tests.support.waiting import until
from tests.webhooks.making import Batches, make_app, make_endpoint

FOREVER_S = 3600.0


class Delivery:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.running = False
        self.died: list[str] = []

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def worker_died(self, incarnation: str) -> None:
        self.died.append(incarnation)


class LeaderAndItsParts:
    """A leader with all that it was given."""

    def __init__(
        self, store: OccupancyStore, queue: WebhookQueue | None = None, name: str = "a", **options: Any
    ) -> None:
        self.store = store
        self.queue = queue or MemoryQueue()
        self.name = name
        self.delivery = Delivery()
        self.metrics = Metrics()
        apps = options.pop("apps", AppManager([make_app(make_endpoint(), app_id="app")]))
        batches = options.pop("batches", Batches(duration=1))
        interest_of = options.pop("interest_of", lambda *_: Interest(True, True))
        options = {"node_timeout_ms": 10_000_000, "look_every_s": FOREVER_S, **options}
        self.leader = build_leader(
            store,
            self.queue,
            apps,
            batches,
            interest_of,
            self.metrics,
            incarnation=lambda: self.name,
            delivery=self.delivery,
            departed=options.pop("departed", lambda report: None),
            **options,
        )

    async def told(self) -> list[tuple[str, str]]:
        """(name, channel) of all events in the queue, in order; the queue is emptied."""
        await self.queue.attach()
        jobs = (await self.queue.reserve(1000)).jobs
        for job in jobs:
            await self.queue.ack(job)
        return [(event["name"], event["channel"]) for job in jobs for event in orjson.loads(job.body)["events"]]

    async def depth(self) -> int:
        depth = await self.queue.depth()
        return depth["waiting"] + depth["in_flight"]


@asynccontextmanager
async def led(made: LeaderAndItsParts, *, join: bool = True) -> AsyncIterator[LeaderAndItsParts]:
    if join:
        await made.store.join(made.name)
    await made.leader.start()
    try:
        yield made
    finally:
        await made.leader.stop()


def occupied(channel: str, count: int = 1, app_id: str = "app", settle_ms: int = 0) -> Report:
    return Report(app_id, channel, count, watched=True, settle_ms=settle_ms)


async def until_told(made: LeaderAndItsParts, jobs: int = 1) -> None:
    async def told() -> bool:
        return await made.depth() >= jobs

    await until(told)
