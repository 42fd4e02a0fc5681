"""Delivery of webhook jobs: taken from the queue and sent, each endpoint in a lane of its own. In the leader only.

Events of one channel reach one endpoint in order, also over retries and over a change of leader; endpoints do not
wait for each other. The queue keeps every state, so that nothing depends on this process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from engine.errors import EngineError, IncarnationGone, StoreUnavailable
from engine.interfaces import WebhookQueue
from engine.metrics.metrics import Metrics
from engine.tasks import cancel, spawn
from engine.webhooks.delivery.attempts import Attempts
from engine.webhooks.delivery.lanes import Lanes

#: Jobs taken from the queue at one time.
RESERVE_JOBS = 100
#: Jobs of one endpoint in memory; later ones are deferred in the queue.
LANE_JOBS = 256
#: Longest wait between two looks at the queue, which also keep the consumer's lease.
LOOK_EVERY_S = 0.5
#: How often memory is compared with what the queue says is in flight and delayed.
RECONCILE_EVERY_S = 30.0
MEASURE_EVERY_S = 2.0
#: How soon to ask again while the last leader's consumer is still alive, and while the queue is unreachable.
ATTACH_EVERY_S = 0.1
RETRY_MIN_S, RETRY_MAX_S = 0.05, 1.0

_log = logging.getLogger(__name__)


class Delivery:
    """May be started and stopped again and again, as leadership comes and goes.

    :param concurrency: requests at one time to one endpoint.
    :param grace_s: what `stop` gives the requests under way.
    :param lane_jobs: see `Lanes`. :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        queue: WebhookQueue,
        attempts: Attempts,
        metrics: Metrics,
        *,
        concurrency: int = 5,
        grace_s: float = 5.0,
        lane_jobs: int = LANE_JOBS,
        reconcile_every_s: float = RECONCILE_EVERY_S,
        measure_every_s: float = MEASURE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._metrics = metrics.webhooks
        self._grace_s = grace_s
        self._reconcile_every_s = reconcile_every_s
        self._measure_every_s = measure_every_s
        self._clock = clock
        self._wake = asyncio.Event()
        self._lanes = Lanes(queue, attempts, concurrency, lane_jobs, self._wake.set)
        self._measure_at = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Become the consumer as soon as no other one is alive, and deliver until `stop`."""
        if self._task is None:
            self._stopping = self._lanes.closed = False
            self._task = spawn(self._run(), "webhook-delivery")

    async def stop(self) -> None:
        """Take nothing new, let the requests under way end within the grace time, give all else back."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = self._lanes.closed = True
        self._wake.set()
        await asyncio.wait([task], timeout=self._grace_s)
        await cancel(task)
        await self._finish()
        await self._lanes.clear(self._grace_s)
        try:
            await self._queue.detach()
        except EngineError as error:
            _log.warning("webhooks: another worker takes over when the lease ends: %s", error)
        self._metrics.set_queue({"waiting": 0, "in_flight": 0, "delayed": 0, "dead": 0})

    async def worker_died(self, incarnation: str) -> None:
        """Do not wait for the lease of a worker that is known to have ended."""
        try:
            await self._queue.expire(incarnation)
        except StoreUnavailable as error:
            _log.warning("webhooks: the lease of %s must run out: %s", incarnation, error)
        self._wake.set()

    async def _run(self) -> None:
        delay_s = RETRY_MIN_S
        while not self._stopping:
            self._wake.clear()
            try:
                if await self._attach():
                    if delay_s > RETRY_MIN_S:
                        _log.info("webhooks: the queue is back")
                    delay_s = RETRY_MIN_S
                    await self._pump()
                else:
                    await self._pause(ATTACH_EVERY_S)
            except IncarnationGone as error:
                _log.warning("webhooks: another worker has taken over: %s", error)
                await self._lanes.clear(self._grace_s)
            except StoreUnavailable as error:
                if delay_s == RETRY_MIN_S:
                    _log.warning("webhooks wait: %s", error)
                await self._pause(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _attach(self) -> bool:
        self._lanes.begin_comparing()
        backlog = await self._queue.attach(self._lanes.jobs())
        if backlog is None:
            return False
        await self._lanes.compare(backlog)
        return True

    async def _pump(self) -> None:
        """Take jobs until it is time to reconcile. A wait for the queue goes on over several turns."""
        waiting: asyncio.Task[None] | None = None
        end = self._clock() + self._reconcile_every_s
        try:
            while not self._stopping and self._clock() < end:
                self._wake.clear()
                if self._lanes.gone:
                    raise IncarnationGone("its jobs were given away")
                await self._measure()
                took, next_due_s = await self._take()
                if took:
                    continue
                if waiting is None or waiting.done():
                    if waiting is not None:
                        waiting.result()
                    waiting = asyncio.create_task(self._queue.wait(LOOK_EVERY_S), name="webhook-queue-wait")
                await self._pause(LOOK_EVERY_S if next_due_s is None else min(next_due_s, LOOK_EVERY_S), waiting)
        finally:
            if waiting is not None:
                await _end(waiting)

    async def _take(self) -> tuple[bool, float | None]:
        """Whether anything came, and when the next retry is due."""
        lanes = self._lanes
        taken = await self._queue.reserve(RESERVE_JOBS, lanes.full())
        took = bool(taken.jobs)
        if not took:
            lanes.nothing_waits()
        lanes.deferred = taken.deferred
        await lanes.accept(taken.jobs)
        for key in taken.deferred:
            if room := lanes.room(key):
                resumed = await self._queue.resume(key, min(room, RESERVE_JOBS))
                took = took or bool(resumed.jobs)
                lanes.deferred = resumed.deferred
                await lanes.accept(resumed.jobs)
        lanes.send_held_back()
        return took, taken.next_due_s

    async def _measure(self) -> None:
        if self._clock() < self._measure_at:
            return
        self._measure_at = self._clock() + self._measure_every_s
        oldest_ms = min((job.time_ms for job in self._lanes.jobs()), default=None)
        oldest_s = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        self._metrics.set_queue(await self._queue.depth(), oldest_s)

    async def _pause(self, timeout_s: float, *others: asyncio.Task[None]) -> None:
        """Until the time is over, something wakes this loop, or one of `others` ends."""
        woken = asyncio.create_task(self._wake.wait(), name="webhook-wake")
        try:
            await asyncio.wait([woken, *others], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _finish(self) -> None:
        """Wait for the requests under way, keeping the lease meanwhile."""
        end = self._clock() + self._grace_s
        while not await self._lanes.finish(min(end - self._clock(), LOOK_EVERY_S)) and self._clock() < end:
            try:
                await self._queue.reserve(0)
            except EngineError as error:
                _log.debug("webhooks: the lease could not be renewed while stopping: %s", error)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task whose outcome nobody needs any more."""
    task.cancel()
    await asyncio.wait([task], timeout=1.0)
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("webhooks: %s", error)
