"""The webhook queue in one process: the reference of the other drivers, lost with the process.

Nothing in it outlives the worker.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from engine.errors import StoreUnavailable
from engine.interfaces import Backlog, Job, Reservation
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics
from engine.tasks import within
from engine.webhooks.job import lane_of
from engine.webhooks.room import LIMITS, LOG_EVERY_S, OVERHEAD_BYTES, Limits, Room, no_room

_log = logging.getLogger(__name__)


class MemoryQueue:
    """A `WebhookQueue` without any server.

    :param max_jobs: jobs it holds, dead letters not counted; more are refused.
    :param max_dead_letters: dead letters it keeps; the oldest go first, of the endpoint that has most.
    :param limits: bytes of an endpoint and of an application, of what waits and of dead letters each.
    :param clock: seconds, monotonic. :param metrics: counts dead letters given up for newer ones.
    """

    default_list: str | None = None

    def __init__(
        self,
        max_jobs: int = 100_000,
        max_dead_letters: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._room, self._dead_room = (Room(limits.lane_bytes, limits.app_bytes) for _ in range(2))
        self._max_dead_letters = max_dead_letters
        self._notices = Notices(_log, clock, LOG_EVERY_S)
        self._metrics = (metrics or Metrics()).webhooks
        self._max_jobs = max_jobs
        self._clock = clock
        self._waiting: deque[Job] = deque()
        self._deferred: dict[str, deque[Job]] = {}
        self._delayed: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        # By identity: two jobs with one id are two jobs here, as two entries of a list are in Redis.
        self._in_flight: dict[int, Job] = {}
        self._dead: deque[Job] = deque()
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
        for job in jobs:
            if self._room.has(*_place(job)):
                self._room.take(*_place(job))
                self._waiting.append(job)
            else:
                self._drop(job)
        self._arrived.set()

    def _drop(self, job: Job) -> None:
        """Its endpoint does not keep up, and may not take up the room of others."""
        self._metrics.requests_dropped.add(1, job.app_id, job.endpoint_id)
        self._notices.note(logging.ERROR, "full", no_room(job.app_id, job.endpoint_id))

    # --- the consumer

    async def attach(self, in_flight: Sequence[Job] = ()) -> Backlog | None:
        self._attached = True
        return Backlog(list(self._in_flight.values()), [job for _, _, job in sorted(self._delayed)])

    async def detach(self) -> None:
        self._attached = False
        # Per lane, what was in flight is older than what was deferred, and that is older than what waits.
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
            async with within(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def ack(self, job: Job) -> None:
        if self._in_flight.pop(id(job), None) is not None:
            self._room.give_back(*_place(job))

    async def drop(self, copy: Job, kept: Job) -> None:
        await self.ack(copy)

    async def retry(self, job: Job, delay_s: float) -> None:
        if self._in_flight.pop(id(job), None) is not None:
            heapq.heappush(self._delayed, (self._clock() + delay_s, next(self._numbers), job))

    async def bury(self, job: Job) -> None:
        if self._in_flight.pop(id(job), None) is not None:
            self._room.give_back(*_place(job))
            self._keep_dead(job)

    def _keep_dead(self, job: Job) -> None:
        """The newest stay: the oldest go, of the endpoint with most for their number, of an endpoint or application
        for its bytes."""
        if len(self._dead) == self._max_dead_letters:
            lanes = Counter(map(lane_of, self._dead))
            lanes[lane_of(job)] += 1
            self._forget_dead_of(max(lanes, key=lanes.__getitem__))
        while not self._dead_room.has(*_place(job)):
            same = lane_of if self._dead_room.lane_full(*_place(job)) else _app_of
            oldest = next((at for at, dead in enumerate(self._dead) if same(dead) == same(job)), None)
            if oldest is None:
                # It alone is too large.
                self._metrics.forgotten.add(1)
                return
            self._forget_dead(oldest)
            whose = f"endpoint {job.endpoint_id} of app {job.app_id}"
            text = f"webhook queue: {whose} has too many bytes of dead letters; the oldest go"
            self._notices.note(logging.ERROR, "dead letters", text)
        self._dead_room.take(*_place(job))
        self._dead.append(job)

    def _forget_dead_of(self, lane: str) -> None:
        self._forget_dead(next(at for at, dead in enumerate(self._dead) if lane_of(dead) == lane))
        text = f"webhook queue: more than {self._max_dead_letters} dead letters; the oldest of {lane} go"
        self._notices.note(logging.ERROR, "dead letters", text)

    def _forget_dead(self, at: int) -> None:
        self._metrics.forgotten.add(1)
        self._dead_room.give_back(*_place(self._dead[at]))
        del self._dead[at]

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

    async def delayed_jobs(self, limit: int) -> list[Job]:
        return [replace(job, errors=list(job.errors)) for _, _, job in heapq.nsmallest(limit, self._delayed)]

    async def requeue(self, job_id: str | None) -> int:
        moved: list[Job] = []
        room = self._max_jobs - self._count()
        for job in list(self._dead):
            # What has no room stays where it is.
            if (job_id is None or job.id == job_id) and len(moved) < room and self._room.has(*_place(job)):
                again = replace(job, attempt=0, errors=[])
                self._room.take(*_place(again))
                self._waiting.append(again)
                moved.append(job)
        gone = set(map(id, moved))
        for job in moved:
            self._dead_room.give_back(*_place(job))
        self._dead = deque(job for job in self._dead if id(job) not in gone)
        self._arrived.set()
        return len(moved)

    async def hasten(self, job_id: str) -> int:
        for place, (_, number, job) in enumerate(self._delayed):
            if job.id == job_id:
                self._delayed[place] = (self._clock(), number, job)
                heapq.heapify(self._delayed)
                self._arrived.set()
                return 1
        return 0

    async def forget(self, job_id: str) -> int:
        for job in self._dead:
            if job.id == job_id:
                self._dead_room.give_back(*_place(job))
                self._dead.remove(job)
                return 1
        return 0

    async def purge_dead_letters(self) -> int:
        count = len(self._dead)
        for job in self._dead:
            self._dead_room.give_back(*_place(job))
        self._dead.clear()
        return count

    def _taken(self, jobs: list[Job]) -> Reservation:
        self._in_flight.update((id(job), job) for job in jobs)
        next_due_s = max(0.0, self._delayed[0][0] - self._clock()) if self._delayed else None
        return Reservation(jobs, next_due_s, frozenset(self._deferred))

    def _count(self) -> int:
        deferred = sum(map(len, self._deferred.values()))
        return len(self._waiting) + deferred + len(self._delayed) + len(self._in_flight)


def _place(job: Job) -> tuple[str, str, int]:
    """Whose room it takes, and how much of it."""
    # Not the body's bytes: to count those would cost a copy. A character takes what its kind of text takes.
    return job.app_id, job.endpoint_id, len(job.body) + OVERHEAD_BYTES


def _app_of(job: Job) -> str:
    return job.app_id
