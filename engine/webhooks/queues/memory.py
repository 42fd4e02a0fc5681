"""The webhook queue in one process: the reference of the other drivers, lost with the process.

Called by the batcher (`put`), the delivery (all else) and operators' commands.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from engine.errors import StoreUnavailable
from engine.interfaces import Backlog, Job, Reservation
from engine.metrics.metrics import Metrics
from engine.webhooks.job import lane_of

_log = logging.getLogger(__name__)


class MemoryQueue:
    """A `WebhookQueue` without any server.

    :param max_jobs: jobs it holds, dead letters not counted; more are refused.
    :param max_dead_letters: dead letters it keeps; the oldest go first.
    :param clock: seconds, monotonic. :param metrics: counts dead letters given up for newer ones.
    """

    default_list: str | None = None

    def __init__(
        self,
        max_jobs: int = 100_000,
        max_dead_letters: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = (metrics or Metrics()).webhooks
        self._max_jobs = max_jobs
        self._clock = clock
        self._waiting: deque[Job] = deque()
        self._deferred: dict[str, deque[Job]] = {}
        self._delayed: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        # By identity: two jobs with one id are two jobs here, as two entries of a list are in Redis.
        self._in_flight: dict[int, Job] = {}
        self._dead: deque[Job] = deque(maxlen=max_dead_letters)
        self._arrived = asyncio.Event()
        self._attached = False

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        if undelivered := self._count():
            _log.warning("%d webhook requests are lost with this process (queue driver memory)", undelivered)

    async def put(self, jobs: Sequence[Job]) -> None:
        if self._count() + len(jobs) > self._max_jobs:
            raise StoreUnavailable(f"the webhook queue holds {self._max_jobs} jobs, its limit")
        self._waiting.extend(jobs)
        self._arrived.set()

    # --- the consumer

    async def attach(self, held: Sequence[Job] = ()) -> Backlog | None:
        self._attached = True
        return Backlog(list(self._in_flight.values()), [job for _, _, job in sorted(self._delayed)])

    async def detach(self) -> None:
        self._attached = False
        # Per lane, what was reserved is older than what was deferred, and that is older than what waits.
        for job in reversed(list(self._in_flight.values())):
            self._deferred.get(lane_of(job), self._waiting).appendleft(job)
        self._in_flight.clear()
        self._arrived.set()

    async def expire(self, consumer: str) -> None:
        """There is no other worker."""

    @property
    def attached(self) -> bool:
        return self._attached

    async def reserve(self, limit: int, full: Collection[str] = ()) -> Reservation:
        due: list[Job] = []
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now and len(due) < limit:
            job = heapq.heappop(self._delayed)[2]
            # Another job than the one that was delayed: a repeated `retry` of that one, whose first answer was lost,
            # must not find it here.
            due.append(replace(job, errors=list(job.errors)))
        # In front: they are older than whatever else of their channels is held.
        self._in_flight = {id(job): job for job in (*due, *self._in_flight.values())}
        jobs: list[Job] = list(due)
        for _ in range(min(limit - len(due), len(self._waiting))):
            job = self._waiting.popleft()
            lane = lane_of(job)
            if lane in full or lane in self._deferred:
                self._deferred.setdefault(lane, deque()).append(job)
            else:
                jobs.append(job)
        if not self._waiting:
            self._arrived.clear()
        return self._taken(jobs)

    async def resume(self, lane: str, limit: int) -> Reservation:
        deferred = self._deferred.get(lane, deque())
        jobs = [deferred.popleft() for _ in range(min(limit, len(deferred)))]
        if not deferred:
            self._deferred.pop(lane, None)
        return self._taken(jobs)

    async def wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def ack(self, job: Job) -> None:
        self._in_flight.pop(id(job), None)

    async def retry(self, job: Job, delay_s: float) -> None:
        if self._in_flight.pop(id(job), None) is not None:
            heapq.heappush(self._delayed, (self._clock() + delay_s, next(self._numbers), job))

    async def bury(self, job: Job) -> None:
        if self._in_flight.pop(id(job), None) is not None:
            self._metrics.forgotten.add(len(self._dead) == self._dead.maxlen)
            self._dead.append(job)

    # --- for operators

    async def depth(self) -> Mapping[str, int]:
        return {
            "waiting": len(self._waiting) + sum(map(len, self._deferred.values())),
            "in_flight": len(self._in_flight),
            "delayed": len(self._delayed),
            "dead": len(self._dead),
        }

    async def dead_letters(self, limit: int) -> list[Job]:
        return [replace(job, errors=list(job.errors)) for job in itertools.islice(reversed(self._dead), limit)]

    async def requeue(self, job_id: str | None) -> int:
        moved = [job for job in self._dead if job_id is None or job.id == job_id]
        await self.put([replace(job, attempt=0, errors=[]) for job in moved])
        kept = [job for job in self._dead if job_id is not None and job.id != job_id]
        self._dead.clear()
        self._dead.extend(kept)
        return len(moved)

    async def purge_dead_letters(self) -> int:
        count = len(self._dead)
        self._dead.clear()
        return count

    def _taken(self, jobs: list[Job]) -> Reservation:
        self._in_flight.update((id(job), job) for job in jobs)
        next_due_s = max(0.0, self._delayed[0][0] - self._clock()) if self._delayed else None
        return Reservation(jobs, next_due_s, frozenset(self._deferred))

    def _count(self) -> int:
        deferred = sum(map(len, self._deferred.values()))
        return len(self._waiting) + deferred + len(self._delayed) + len(self._in_flight)
