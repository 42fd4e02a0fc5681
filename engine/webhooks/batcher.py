"""Events that this worker sees become jobs: one window for each app and endpoint, then the queue, by way of the leader.

Called for client events, cache misses and connection events; occupancy and membership are the leader's. It never
blocks its caller and never grows without limit: what the queue cannot take in time is dropped, counted and logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.app import App
from engine.config.webhooks import Batching
from engine.errors import StoreUnavailable
from engine.interfaces import Job
from engine.metrics.metrics import Metrics
from engine.tasks import cancel, spawn, within
from engine.webhooks.event import WebhookEvent
from engine.webhooks.filter import wants
from engine.webhooks.job import make_job
from engine.webhooks.room import OVERHEAD_BYTES, Room

#: What may wait in this worker, windows and jobs together. An event is charged for each endpoint that wants it.
MAX_PENDING_BYTES = 32 * 1024 * 1024
#: Of that, what one endpoint and what one application may take: none fills the room of the others.
ENDPOINT_SHARE, APP_SHARE = 0.25, 0.5
#: Jobs handed to the queue in one call.
PUT_JOBS = 100
RETRY_MIN_S, RETRY_MAX_S = 0.05, 1.0
LOG_EVERY_S = 10.0

_log = logging.getLogger(__name__)


class Queue(Protocol):
    """What takes the jobs: `leader/relay.py`, which puts them behind what happened before."""

    async def put(self, jobs: Sequence[Job]) -> None: ...


class Batcher:
    """:param now_ms: milliseconds since the epoch, for the body's `time_ms`."""

    def __init__(
        self,
        queue: Queue,
        batching: Batching,
        metrics: Metrics,
        *,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._queue = queue
        self._metrics = metrics.webhooks
        self._duration_s = batching.duration / 1000
        self._size = batching.size if batching.enabled else 1
        self._max_pending_bytes = max_pending_bytes
        self._now_ms = now_ms
        self._windows: dict[tuple[str, str], _Window] = {}
        self._jobs: deque[tuple[Job, int]] = deque()
        self._pending_bytes = 0
        self._room = Room(max_pending_bytes * ENDPOINT_SHARE, max_pending_bytes * APP_SHARE)
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()
        self._task: asyncio.Task[None] | None = None
        self._log_next = 0.0
        self._dropped = 0

    async def start(self) -> None:
        self._task = spawn(self._hand_over(), "webhook-batcher")

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Close all windows and give the queue so long to take what there is."""
        if not await self.flush(timeout_s):
            _log.error("webhooks: %d requests are lost, the queue did not take them in time", len(self._jobs))
        await cancel(self._task)

    def add(self, app: App, event: WebhookEvent) -> None:
        """Emit an event to every endpoint of its app that wants it."""
        for endpoint in app.endpoints:
            if wants(endpoint, event.name, event.channel, event.client_event):
                self._add((app.id, endpoint.id), event)

    async def flush(self, timeout_s: float) -> bool:
        """Close all windows now; whether the queue has taken everything in time."""
        for key in list(self._windows):
            self._close(key)
        try:
            async with within(timeout_s):
                await self._none.wait()
        except TimeoutError:
            return False
        return True

    def _add(self, key: tuple[str, str], event: WebhookEvent) -> None:
        cost = len(event.payload) + OVERHEAD_BYTES
        if self._pending_bytes + cost > self._max_pending_bytes or not self._room.has(*key, cost):
            self._note_dropped(key)
            return
        self._room.take(*key, cost)
        self._metrics.events.add(1, *key, event.name)
        self._pending_bytes += cost
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window()
        window.events.append(event)
        window.cost += cost
        if len(window.events) >= self._size:
            self._close(key)
        elif window.timer is None:
            window.timer = asyncio.get_running_loop().call_later(self._duration_s, self._close, key)

    def _close(self, key: tuple[str, str]) -> None:
        window = self._windows.pop(key)
        if window.timer is not None:
            window.timer.cancel()
        self._jobs.append((make_job(*key, window.events, self._now_ms()), window.cost))
        self._some.set()
        self._none.clear()

    async def _hand_over(self) -> None:
        delay_s = RETRY_MIN_S
        while True:
            await self._some.wait()
            batch = [self._jobs[n] for n in range(min(PUT_JOBS, len(self._jobs)))]
            try:
                await self._queue.put([job for job, _ in batch])
            except StoreUnavailable as error:
                if delay_s == RETRY_MIN_S:
                    _log.warning("webhooks wait in this worker: %s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                continue
            delay_s = RETRY_MIN_S
            for job, cost in batch:
                self._jobs.popleft()
                self._pending_bytes -= cost
                self._room.give_back(job.app_id, job.endpoint_id, cost)
            if not self._jobs:
                self._some.clear()
                self._none.set()

    def _note_dropped(self, key: tuple[str, str]) -> None:
        self._dropped += 1
        self._metrics.dropped.add(1, *key)
        now = time.monotonic()
        if now >= self._log_next:
            self._log_next = now + LOG_EVERY_S
            _log.error("webhooks: the queue does not take what is to be sent; %d events dropped so far", self._dropped)


class _Window:
    """The events of one endpoint that wait for company."""

    __slots__ = ("cost", "events", "timer")

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.cost = 0
        self.timer: asyncio.TimerHandle | None = None
