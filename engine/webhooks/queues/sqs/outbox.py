"""Where jobs stand between the decision that makes them and SQS, which cannot take part in that decision.

A job that went straight to SQS would be sent even if a return cancelled it before the leader's commit. Nothing here
calls SQS.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, cast

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.errors import StoreUnavailable
from engine.interfaces import Job
from engine.redis.scripts import bounded
from engine.tasks import within
from engine.webhooks.job import encode

MAX_WAIT_S = 1.0
MAX_JOBS = 10_000


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

    async def size(self) -> int: ...

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something, or after the time."""


class RedisOutbox:
    """Beside occupancy in Redis: the commit moves transitions into it in one step.

    :param name: the list's whole name.
    """

    def __init__(self, client: Redis, name: str, timeout_s: float = 5.0) -> None:
        self._client = client
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

    def __init__(self, max_jobs: int = MAX_JOBS) -> None:
        self._max_jobs = max_jobs
        self._entries: deque[bytes] = deque()
        self._some = asyncio.Event()

    def take(self, jobs: Sequence[Job]) -> bool:
        if len(self._entries) + len(jobs) > self._max_jobs:
            raise StoreUnavailable(f"{len(self._entries)} webhook requests wait for SQS already")
        self._entries.extend(map(encode, jobs))
        self._some.set()
        return True

    async def first(self, limit: int) -> list[bytes]:
        return [self._entries[at] for at in range(min(limit, len(self._entries)))]

    async def drop(self, entries: Sequence[bytes]) -> None:
        for entry in entries:
            if entry in self._entries:
                self._entries.remove(entry)
        if not self._entries:
            self._some.clear()

    async def size(self) -> int:
        return len(self._entries)

    async def wait(self, timeout_s: float) -> None:
        try:
            async with within(timeout_s):
                await self._some.wait()
        except TimeoutError:
            return
