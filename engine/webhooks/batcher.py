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

from engine._fast.counting import Count
from engine.app import App
from engine.config.webhooks import Batching
from engine.errors import StoreUnavailable
from engine.interfaces import Job
from engine.metrics.metrics import Metrics
from engine.tasks import cancel, spawn, within
from engine.webhooks.event import WebhookEvent
from engine.webhooks.filter import wants
from engine.webhooks.job import make_job
from engine.webhooks.room import OVERHEAD_BYTES

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
        #: Those who have anything here.
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._shares: dict[str, _Share] = {}
        self._jobs: deque[tuple[Job, int, _Lane]] = deque()
        self._pending_bytes = 0
        self._endpoint_bytes, self._app_bytes = max_pending_bytes * ENDPOINT_SHARE, max_pending_bytes * APP_SHARE
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
                lane = self._lanes.get((app.id, endpoint.id))
                self._add(self._open(app.id, endpoint.id) if lane is None else lane, event)

    async def flush(self, timeout_s: float) -> bool:
        """Close all windows now; whether the queue has taken everything in time."""
        for lane in self._lanes.values():
            if lane.events:
                self._close(lane)
        try:
            async with within(timeout_s):
                await self._none.wait()
        except TimeoutError:
            return False
        return True

    def _open(self, app_id: str, endpoint_id: str) -> _Lane:
        share = self._shares.get(app_id)
        if share is None:
            share = self._shares[app_id] = _Share()
        lane = self._lanes[app_id, endpoint_id] = _Lane((app_id, endpoint_id), share)
        return lane

    def _add(self, lane: _Lane, event: WebhookEvent) -> None:
        cost = len(event.payload) + OVERHEAD_BYTES
        if (
            self._pending_bytes + cost > self._max_pending_bytes
            or lane.bytes + cost > self._endpoint_bytes
            or lane.share.bytes + cost > self._app_bytes
        ):
            self._note_dropped(lane.key)
            self._give_back(lane, 0)
            return
        self._pending_bytes += cost
        lane.bytes += cost
        lane.share.bytes += cost
        lane.window_bytes += cost
        count = lane.counts.get(event.name)
        if count is None:
            count = lane.counts[event.name] = self._metrics.events.of(*lane.key, event.name)
        count.add(1)
        events = lane.events
        events.append(event)
        if len(events) >= self._size:
            self._close(lane)
        elif lane.timer is None:
            lane.timer = asyncio.get_running_loop().call_later(self._duration_s, self._close, lane)

    def _close(self, lane: _Lane) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        self._jobs.append((make_job(*lane.key, lane.events, self._now_ms()), lane.window_bytes, lane))
        lane.events, lane.window_bytes = [], 0
        self._some.set()
        self._none.clear()

    async def _hand_over(self) -> None:
        delay_s = RETRY_MIN_S
        while True:
            await self._some.wait()
            batch = [self._jobs[n] for n in range(min(PUT_JOBS, len(self._jobs)))]
            try:
                await self._queue.put([job for job, _, _ in batch])
            except StoreUnavailable as error:
                if delay_s == RETRY_MIN_S:
                    _log.warning("webhooks wait in this worker: %s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                continue
            delay_s = RETRY_MIN_S
            for _, cost, lane in batch:
                self._jobs.popleft()
                self._give_back(lane, cost)
            if not self._jobs:
                self._some.clear()
                self._none.set()

    def _give_back(self, lane: _Lane, cost: int) -> None:
        self._pending_bytes -= cost
        lane.bytes -= cost
        lane.share.bytes -= cost
        if not lane.bytes:
            del self._lanes[lane.key]
        if not lane.share.bytes:
            del self._shares[lane.key[0]]

    def _note_dropped(self, key: tuple[str, str]) -> None:
        self._dropped += 1
        self._metrics.dropped.add(1, *key)
        now = time.monotonic()
        if now >= self._log_next:
            self._log_next = now + LOG_EVERY_S
            _log.error("webhooks: the queue does not take what is to be sent; %d events dropped so far", self._dropped)


class _Share:
    """What the endpoints of one application take together."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class _Lane:
    """What one endpoint takes here: its jobs, and the events that wait for company."""

    __slots__ = ("bytes", "counts", "events", "key", "share", "timer", "window_bytes")

    def __init__(self, key: tuple[str, str], share: _Share) -> None:
        self.key = key
        self.share = share
        self.bytes = self.window_bytes = 0
        self.events: list[WebhookEvent] = []
        self.timer: asyncio.TimerHandle | None = None
        #: By name of event, found once.
        self.counts: dict[str, Count] = {}
