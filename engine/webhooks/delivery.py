"""Delivery of webhook jobs: taken from the queue and sent, each endpoint in a line of its own. In the leader only.

Events of one channel reach one endpoint in order, also over retries and over a change of leader; endpoints do not
wait for each other. `line.py` knows the order; the queue keeps every state, so that nothing depends on this process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from engine.errors import EngineError, IncarnationGone, StoreUnavailable
from engine.interfaces import Backlog, Job, WebhookQueue
from engine.metrics import Metrics
from engine.tasks import cancel, spawn
from engine.webhooks.attempts import UNKNOWN_TARGET, Attempts
from engine.webhooks.job import line_of
from engine.webhooks.line import Line

#: Jobs taken from the queue at one time.
RESERVE_JOBS = 100
#: Jobs of one endpoint in memory; later ones are set aside in the queue.
LINE_JOBS = 256
#: Longest wait between two looks at the queue, which also keep the consumer's lease.
LOOK_EVERY_S = 0.5
#: How often memory is compared with what the queue says is held and parked.
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
    :param line_jobs: room of each endpoint's line, which one reservation may exceed.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        queue: WebhookQueue,
        attempts: Attempts,
        metrics: Metrics,
        *,
        concurrency: int = 5,
        grace_s: float = 5.0,
        line_jobs: int = LINE_JOBS,
        reconcile_every_s: float = RECONCILE_EVERY_S,
        measure_every_s: float = MEASURE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._metrics = metrics
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._line_jobs = line_jobs
        self._reconcile_every_s = reconcile_every_s
        self._measure_every_s = measure_every_s
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._aside: frozenset[str] = frozenset()
        self._sends: set[asyncio.Task[None]] = set()
        #: Jobs that left the sending state while `attach` ran: its answer is older than they are.
        self._settled: set[str] = set()
        self._attaching = False
        #: By line and id: jobs that the queue gave out again before their sending had ended. A retry can come due
        #: before the answer to the call that parked it.
        self._early: dict[tuple[str, str], Job] = {}
        self._wake = asyncio.Event()
        self._measure_at = 0.0
        #: Something could have been sent, but for the lease.
        self._held_back = False
        self._gone = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Become the consumer as soon as no other one is alive, and deliver until `stop`."""
        if self._task is None:
            self._stopping = False
            self._task = spawn(self._run(), "webhook-delivery")

    async def stop(self) -> None:
        """Take nothing new, let the requests under way end within the grace time, give all else back."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        self._wake.set()
        await asyncio.wait([task], timeout=self._grace_s)
        await cancel(task)
        await self._finish_sends()
        await self._cancel_sends()
        try:
            await self._queue.detach()
        except EngineError as error:
            _log.warning("webhooks: another worker takes over when the lease ends: %s", error)
        self._forget()
        self._metrics.set_webhook_queue({"waiting": 0, "reserved": 0, "delayed": 0, "failed": 0})

    async def worker_died(self, incarnation: str) -> None:
        """Do not wait for the lease of a worker that is known to have ended."""
        try:
            await self._queue.expire(incarnation)
        except StoreUnavailable as error:
            _log.warning("webhooks: the lease of %s must run out: %s", incarnation, error)
        self._wake.set()

    # --- the queue

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
                await self._cancel_sends()
                self._forget()
            except StoreUnavailable as error:
                if delay_s == RETRY_MIN_S:
                    _log.warning("webhooks wait: %s", error)
                await self._pause(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _attach(self) -> bool:
        self._settled.clear()
        self._attaching = True
        try:
            backlog = await self._queue.attach([job for line in self._lines.values() for job in line.jobs()])
        finally:
            self._attaching = False
        if backlog is None:
            return False

        for job in backlog.parked:
            if self._attempts.target(job) is not None and job.id not in self._line(job):
                self._line(job).add(job, parked=True)
        await self._accept([job for job in backlog.reserved if not self._is_held(job)])
        self._dispatch(list(self._lines))
        return True

    def _forget_vanished(self, backlog: Backlog) -> None:
        """Let go of parked jobs that someone took out of the queue, so that nothing waits for them for ever."""
        known = {job.id for job in (*backlog.parked, *backlog.reserved)} | self._settled
        for line in self._lines.values():
            for job in line.jobs():
                if line.is_parked(job.id) and job.id not in known:
                    line.remove(job.id)

    def _is_held(self, job: Job) -> bool:
        """Whether memory knows better than the queue's answer."""
        line = self._lines.get(line_of(job))
        return job.id in self._settled or (line is not None and job.id in line and not line.is_parked(job.id))

    async def _pump(self) -> None:
        """Take jobs until it is time to reconcile. A wait for the queue goes on over several turns."""
        waiting: asyncio.Task[None] | None = None
        end = self._clock() + self._reconcile_every_s
        try:
            while not self._stopping and self._clock() < end:
                self._wake.clear()
                if self._gone:
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

    async def _measure(self) -> None:
        if self._clock() < self._measure_at:
            return
        self._measure_at = self._clock() + self._measure_every_s
        times_ms = [job.time_ms for line in self._lines.values() for job in line.jobs()]
        oldest_s = max(0.0, time.time() - min(times_ms) / 1000) if times_ms else 0.0
        self._metrics.set_webhook_queue(await self._queue.depth(), oldest_s)

    async def _take(self) -> tuple[bool, float | None]:
        """Whether anything came, and when the next retry is due."""
        full = [key for key, line in self._lines.items() if not line.room]
        reserved = await self._queue.reserve(RESERVE_JOBS, full)
        took = bool(reserved.jobs)
        await self._accept(reserved.jobs)
        self._aside = reserved.aside
        for key in reserved.aside:
            if self._has_room(key):
                room = self._lines[key].room if key in self._lines else self._line_jobs
                resumed = await self._queue.resume(key, min(room, RESERVE_JOBS))
                took = took or bool(resumed.jobs)
                await self._accept(resumed.jobs)
                self._aside = resumed.aside
        if self._held_back and self._queue.attached:
            self._held_back = False
            self._dispatch(list(self._lines))
        return took, reserved.next_due_s

    async def _accept(self, jobs: list[Job]) -> None:
        for job in jobs:
            if self._attempts.target(job) is None:
                await self._attempts.bury(job, UNKNOWN_TARGET)
                continue
            line = self._line(job)
            if job.id not in line:
                line.add(job)
            elif line.is_parked(job.id):
                line.unpark(job)
            elif line.is_sending(job.id):
                self._early[line_of(job), job.id] = job
            else:
                # The same job stood in the queue twice, as after a repeated put.
                await self._attempts.drop(job)
        self._dispatch({line_of(job): None for job in jobs})

    def _line(self, job: Job) -> Line:
        return self._lines.setdefault(line_of(job), Line(self._line_jobs))

    def _has_room(self, key: str) -> bool:
        # Half a line at least, so that jobs set aside come back in bulk.
        return key not in self._lines or self._lines[key].room * 2 >= self._line_jobs

    async def _pause(self, timeout_s: float, *others: asyncio.Task[None]) -> None:
        """Until the time is over, something wakes this loop, or one of `others` ends."""
        woken = asyncio.create_task(self._wake.wait(), name="webhook-wake")
        try:
            await asyncio.wait([woken, *others], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    # --- sending

    def _dispatch(self, keys: Iterable[str]) -> None:
        """Start what may start. Whoever may have lost its lease starts nothing: another may be sending already."""
        if self._stopping:
            return
        if not self._queue.attached:
            self._held_back = True
            return
        for key in keys:
            line = self._lines.get(key)
            while line is not None and line.sending < self._concurrency and (job := line.next()) is not None:
                task = spawn(self._deliver(key, line, job), "webhook-send")
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)

    async def _deliver(self, key: str, line: Line, job: Job) -> None:
        # Asked again, because this process may have been stopped between the dispatch and here.
        if not self._queue.attached:
            line.put_back(job.id)
            self._held_back = True
            self._wake.set()
            return
        try:
            parked = await self._attempts.make(job)
            again = self._early.pop((key, job.id), None)
            if again is not None and not parked:
                await self._attempts.drop(again)
        except IncarnationGone:
            self._gone = True
            self._wake.set()
            return
        if self._attaching:
            self._settled.add(job.id)
        if parked:
            line.park(job.id)
            if again is not None:
                line.unpark(again)
            self._wake.set()
        else:
            line.remove(job.id)
            if key in self._aside and self._has_room(key):
                self._wake.set()
        if not line and self._lines.get(key) is line:
            del self._lines[key]
        self._dispatch([key])

    async def _finish_sends(self) -> None:
        """Wait for the requests under way, keeping the lease meanwhile."""
        end = self._clock() + self._grace_s
        while self._sends and (left_s := end - self._clock()) > 0:
            await asyncio.wait(self._sends, timeout=min(left_s, LOOK_EVERY_S))
            try:
                await self._queue.reserve(0)
            except EngineError as error:
                _log.debug("webhooks: the lease could not be renewed while stopping: %s", error)

    def _forget(self) -> None:
        self._lines.clear()
        self._early.clear()
        self._gone = False

    async def _cancel_sends(self) -> None:
        for task in self._sends:
            task.cancel()
        if self._sends:
            await asyncio.wait(self._sends, timeout=self._grace_s)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task whose outcome nobody needs any more."""
    task.cancel()
    await asyncio.wait([task], timeout=1.0)
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("webhooks: %s", error)
