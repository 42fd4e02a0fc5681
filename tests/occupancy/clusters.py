"""One cluster per driver with the same handles: workers' stores, what they were told, and time that tests move.

Used by the contract tests, which run on each, and by the state machine, which runs both side by side.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Protocol

import redis.asyncio

from engine._fast.envelope import parse_member_change, parse_total
from engine.config.redis import RedisOptions
from engine.history.memory import MemoryHistory
from engine.history.redis import RedisHistory
from engine.interfaces import HistoryStore, MemberChange, OccupancyPages, OccupancyStore, TotalChange
from engine.metrics.metrics import Metrics
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_pages import MemoryPages
from engine.occupancy.memory_state import MemoryState
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.redis_keys import Keys
from engine.occupancy.redis_pages import RedisPages
from engine.redis.pool import connect


class Cluster(Protocol):
    """What a test may do with a cluster, whatever driver keeps its state."""

    #: Seconds for heartbeats; tests move it.
    beat_s: float

    def store(self) -> OccupancyStore:
        """A further worker's view."""

    def pages(self) -> OccupancyPages:
        """An operator's view."""

    async def pass_ms(self, ms: int) -> None:
        """Let the clock of transitions move on."""

    async def heard(self) -> tuple[list[MemberChange | TotalChange], int]:
        """What was published since the last call: changes of members and of announced totals, in order, and how often
        the leader was woken."""

    def came_and_went(self) -> HistoryStore:
        """What its stores keep of members."""

    async def close(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.beat_s = 0.0
        self.now_us = time.time_ns() // 1000
        self._changes: list[MemberChange | TotalChange] = []
        self._wakes = 0
        self._kept = MemoryHistory()
        self.cluster = MemoryState(self._changes.append, self._on_wake, self._tick, self._changes.append)

    def pages(self) -> MemoryPages:
        return MemoryPages(self.cluster)

    def store(self) -> MemoryOccupancy:
        return MemoryOccupancy(self.cluster, lambda: self.beat_s, self._kept.keep)

    def came_and_went(self) -> MemoryHistory:
        return self._kept

    async def pass_ms(self, ms: int) -> None:
        self.now_us += ms * 1000

    async def heard(self) -> tuple[list[MemberChange | TotalChange], int]:
        changes, self._changes[:] = list(self._changes), []
        wakes, self._wakes = self._wakes, 0
        return changes, wakes

    async def close(self) -> None:
        """Nothing was opened."""

    def _tick(self) -> int:
        self.now_us += 1
        return self.now_us

    def _on_wake(self) -> None:
        self._wakes += 1


class InRedis:
    """:param url: of a Valkey; the cluster takes a prefix of its own there.
    :param options: how stores reach it, when it is the shard of a Redis Cluster where they keep everything.
    """

    def __init__(self, url: str, options: RedisOptions | None = None) -> None:
        self.beat_s = 0.0
        #: Of the server, as a worker knows it.
        self.life = ""
        self.name = uuid.uuid4().hex
        self.metrics = Metrics()
        self.topic_prefix = f"{self.name}-topic:"
        self.keys = Keys(f"{self.name}-key:")
        self.client = redis.asyncio.Redis.from_url(url)
        self._used = self.client if options is None else connect(options)
        self._pubsub = self.client.pubsub()
        self._subscribed = False

    def store(self) -> RedisOccupancy:
        return RedisOccupancy(
            self._used,
            f"{self.name}-key:",
            self.topic_prefix,
            10.0,
            lambda: self.beat_s,
            self.metrics,
            lambda: self.life,
        )

    def pages(self) -> RedisPages:
        return RedisPages(self._used, self.keys, 10.0)

    def came_and_went(self) -> RedisHistory:
        return RedisHistory(
            self._used, lambda app_id, channel: (self.keys.presence_history(app_id, channel), self.life)
        )

    async def pass_ms(self, ms: int) -> None:
        # The clock key says that sequence numbers are ahead of Redis' time, as after a step back of its clock.
        seconds, micros = await self.client.time()
        now = seconds * 1_000_000 + micros
        last, skew = map(int, (await self.client.get(self.keys.base + "clock") or b"0 0").split())
        await self.client.set(self.keys.base + "clock", f"{max(now + skew, last) + ms * 1000} 0")

    async def listen(self) -> None:
        await self._pubsub.psubscribe(self.topic_prefix + "*")
        self._subscribed = True

    async def heard(self) -> tuple[list[MemberChange | TotalChange], int]:
        changes: list[MemberChange | TotalChange] = []
        wakes = 0
        await self.client.publish(self.topic_prefix + "end", b"")
        while True:
            message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
            if message is None:
                continue
            topic = message["channel"].decode().removeprefix(self.topic_prefix)
            if topic == "end":
                return changes, wakes
            if topic == "wake":
                wakes += 1
                continue
            place = topic.split("/", 1)
            if (total := parse_total(message["data"])) is not None:
                changes.append(TotalChange(*place, *total))
                continue
            parsed = parse_member_change(message["data"])
            assert parsed is not None
            added, version, user_id, user_info = parsed
            changes.append(MemberChange(*place, version, added, user_id, user_info))

    async def close(self) -> None:
        await self._pubsub.aclose()
        left = [key async for key in self.client.scan_iter(f"{self.name}*", 1000)]
        if left:
            await self.client.delete(*left)
        await self.client.aclose()
        if self._used is not self.client:
            await self._used.aclose()


def scenario(body: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test method that takes a `Cluster` as a plain test with the fixture `open_cluster`."""

    def test(self: object, open_cluster: Callable[[], Awaitable[Cluster]]) -> None:
        async def run() -> None:
            cluster = await open_cluster()
            try:
                await body(self, cluster)
            finally:
                await cluster.close()

        asyncio.run(run())

    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    return test
