"""Events that this worker sees become jobs: one window for each app and endpoint, then the queue, by way of the leader.

Jobs that share a channel are sent one after the other. So what fills its windows fast is divided by channel into
several at a time, whose jobs can be under way together; as long as they still fill.

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
from zlib import crc32

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
    """:param concurrency: requests at one time to one endpoint, which is how many windows it has at most.
    :param now_ms: milliseconds since the epoch, for the body's `time_ms`.
    """

    def __init__(
        self,
        queue: Queue,
        batching: Batching,
        metrics: Metrics,
        *,
        concurrency: int = 5,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._queue = queue
        self._metrics = metrics.webhooks
        self._duration_s = batching.duration / 1000
        self._size = batching.size if batching.enabled else 1
        self._concurrency = concurrency
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
            self._close_all(lane)
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
        count = lane.counts.get(event.name)
        if count is None:
            count = lane.counts[event.name] = self._metrics.events.of(*lane.key, event.name)
        count.add(1)
        window = lane.window(event.order)
        window.bytes += cost
        window.events.append(event)
        if len(window.events) >= self._size:
            self._close_full(lane, window)
        elif window.timer is None:
            window.timer = asyncio.get_running_loop().call_later(self._duration_s, self._close_late, lane, window)

    def _close_full(self, lane: _Lane, window: _Window) -> None:
        """One that took less than half its time: twice as many would fill as well."""
        timer = window.timer
        fast = timer is not None and timer.when() - asyncio.get_running_loop().time() > self._duration_s / 2
        self._close(lane, window)
        if fast and 2 * len(lane.windows) <= self._concurrency:
            self._divide(lane, 2 * len(lane.windows))

    def _close_late(self, lane: _Lane, window: _Window) -> None:
        """One that did not fill in its time: half as many will do."""
        self._close(lane, window)
        if len(lane.windows) > 1:
            self._divide(lane, len(lane.windows) // 2)

    def _divide(self, lane: _Lane, number: int) -> None:
        """No window is open meanwhile, so that no event overtakes an earlier one of its channel."""
        self._close_all(lane)
        lane.windows = [_Window() for _ in range(number)]

    def _close_all(self, lane: _Lane) -> None:
        for window in lane.windows:
            if window.events:
                self._close(lane, window)

    def _close(self, lane: _Lane, window: _Window) -> None:
        if window.timer is not None:
            window.timer.cancel()
            window.timer = None
        self._jobs.append((make_job(*lane.key, window.events, self._now_ms()), window.bytes, lane))
        window.events, window.bytes = [], 0
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


class _Window:
    """Events that wait for company."""

    __slots__ = ("bytes", "events", "timer")

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.bytes = 0
        self.timer: asyncio.TimerHandle | None = None


class _Lane:
    """What one endpoint takes here, events and jobs."""

    __slots__ = ("bytes", "counts", "key", "share", "windows")

    def __init__(self, key: tuple[str, str], share: _Share) -> None:
        self.key = key
        self.share = share
        self.bytes = 0
        self.windows = [_Window()]
        #: By name of event, found once.
        self.counts: dict[str, Count] = {}

    def window(self, order: str) -> _Window:
        """The same for all workers that have as many: their jobs for the others wait for none of it."""
        windows = self.windows
        return windows[crc32(order.encode()) % len(windows)] if len(windows) > 1 else windows[0]
