"""Where jobs stand between the decision that makes them and SQS, which cannot take part in that decision.

A job that went straight to SQS would be sent even if a return cancelled it before the leader's commit. Nothing here
calls SQS. While that takes nothing, an endpoint and an application have so many bytes here and no more.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol, cast

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.errors import StoreUnavailable
from engine.interfaces import Job
from engine.redis.scripts import bounded
from engine.tasks import within
from engine.webhooks.job import MalformedJob, decode, encode
from engine.webhooks.room import LIMITS, OVERHEAD_BYTES, Limits, Room

MAX_WAIT_S = 1.0
MAX_JOBS = 10_000
#: Jobs read at once where all of them are.
PAGE = 500


class Outbox(Protocol):
    """Encoded jobs, oldest first. Every method may raise StoreUnavailable."""

    @property
    def redis_list(self) -> str | None:
        """The Redis list to which the leader's commit pushes; None: it uses `take`."""

    def take(self, jobs: Sequence[Job]) -> bool:
        """Append jobs without any wait; False when they must go straight to SQS."""

    async def first(self, limit: int) -> list[bytes]: ...

    async def drop(self, entries: Sequence[bytes]) -> None:
        """They are in SQS. Dropping what is gone already changes nothing."""

    async def bound(self) -> Counter[tuple[str, str]]:
        """Drop the newest jobs of endpoints and applications that take too much; how many, by (app, endpoint)."""

    async def size(self) -> int: ...

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something, or after the time."""


class RedisOutbox:
    """Beside occupancy in Redis: the commit moves transitions into it in one step.

    :param name: the list's whole name. :param limits: bytes of an endpoint and of an application.
    """

    def __init__(self, client: Redis, name: str, timeout_s: float = 5.0, limits: Limits = LIMITS) -> None:
        self._client = client
        self._limits = limits
        #: What the list took when it was last weighed.
        self._weighed_bytes = 0
        self._timeout_s = timeout_s
        self.redis_list: str | None = name

    @property
    def _name(self) -> str:
        assert self.redis_list is not None
        return self.redis_list

    def take(self, jobs: Sequence[Job]) -> bool:
        return False

    async def first(self, limit: int) -> list[bytes]:
        async with bounded("outbox", self._timeout_s):
            return cast("list[bytes]", await self._client.lrange(self._name, 0, limit - 1))

    async def drop(self, entries: Sequence[bytes]) -> None:
        # One by one: while leadership changes two leaders may move the same ones.
        async with bounded("outbox", self._timeout_s), self._client.pipeline(transaction=False) as pipe:
            for entry in entries:
                pipe.lrem(self._name, 1, entry)  # type: ignore[arg-type]
            await pipe.execute()

    async def bound(self) -> Counter[tuple[str, str]]:
        async with bounded("outbox", self._timeout_s):
            bytes_ = int(await self._client.memory_usage(self._name) or 0)
        self._weighed_bytes = min(self._weighed_bytes, bytes_)
        # To read all of it again is worth it when there is a quarter more.
        if bytes_ <= max(self._limits.lane_bytes, self._weighed_bytes * 1.25):
            return Counter()
        self._weighed_bytes = bytes_
        room = Room(self._limits.lane_bytes, self._limits.app_bytes)
        dropped: Counter[tuple[str, str]] = Counter()
        first = 0
        while entries := await self._page(first):
            without = []
            for entry in entries:
                job = _readable(entry)
                whose = ("", "") if job is None else (job.app_id, job.endpoint_id)
                if room.has(*whose, len(entry)):
                    room.take(*whose, len(entry))
                else:
                    without.append(entry)
                    dropped[whose] += 1
            await self.drop(without)
            first += len(entries) - len(without)
        return dropped

    async def _page(self, first: int) -> list[bytes]:
        async with bounded("outbox", self._timeout_s):
            return cast("list[bytes]", await self._client.lrange(self._name, first, first + PAGE - 1))

    async def size(self) -> int:
        async with bounded("outbox", self._timeout_s):
            return int(await self._client.llen(self._name))

    async def wait(self, timeout_s: float) -> None:
        wait_s = min(timeout_s, MAX_WAIT_S)
        async with bounded("outbox", wait_s + self._timeout_s):
            try:
                await self._client.blmove(self._name, self._name, wait_s, "LEFT", "LEFT")  # type: ignore[arg-type]
            except RedisTimeoutError:
                return


class MemoryOutbox:
    """Beside occupancy in this process: nothing happens between `take` and the commit, and both are lost together."""

    redis_list: str | None = None

    def __init__(self, max_jobs: int = MAX_JOBS, limits: Limits = LIMITS) -> None:
        self._max_jobs = max_jobs
        self._room = Room(limits.lane_bytes, limits.app_bytes)
        #: Each with whose room it takes, and how much.
        self._entries: deque[tuple[bytes, tuple[str, str, int]]] = deque()
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._some = asyncio.Event()

    def take(self, jobs: Sequence[Job]) -> bool:
        if len(self._entries) + len(jobs) > self._max_jobs:
            raise StoreUnavailable(f"{len(self._entries)} webhook requests wait for SQS already")
        for job in jobs:
            entry = encode(job)
            place = job.app_id, job.endpoint_id, len(entry) + OVERHEAD_BYTES
            if self._room.has(*place):
                self._room.take(*place)
                self._entries.append((entry, place))
            else:
                self._dropped[job.app_id, job.endpoint_id] += 1
        self._some.set()
        return True

    async def first(self, limit: int) -> list[bytes]:
        return [self._entries[at][0] for at in range(min(limit, len(self._entries)))]

    async def drop(self, entries: Sequence[bytes]) -> None:
        for entry in entries:
            at = next((at for at, (held, _) in enumerate(self._entries) if held == entry), None)
            if at is not None:
                self._room.give_back(*self._entries[at][1])
                del self._entries[at]
        if not self._entries:
            self._some.clear()

    async def bound(self) -> Counter[tuple[str, str]]:
        dropped, self._dropped = self._dropped, Counter()
        return dropped

    async def size(self) -> int:
        return len(self._entries)

    async def wait(self, timeout_s: float) -> None:
        try:
            async with within(timeout_s):
                await self._some.wait()
        except TimeoutError:
            return


def _readable(entry: bytes) -> Job | None:
    try:
        return decode(entry)
    except MalformedJob:
        return None
