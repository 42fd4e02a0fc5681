"""The leader of the cluster: one worker, by lease. Turns due transitions into webhook jobs, and buries dead workers.

Every worker runs one of these and tries to become it. Nothing that it does depends on having done it before: what is
told and what is purged is decided in the store, under the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence

from engine.config.webhooks import Batching
from engine.errors import StoreUnavailable
from engine.interfaces import AppManager, Job, OccupancyStore, Transition, Wanted, WebhookQueue
from engine.metrics import Metrics
from engine.tasks import cancel, spawn
from engine.webhooks.delivery import Delivery
from engine.webhooks.event import from_transition
from engine.webhooks.job import encode, jobs_for

LEASE_MS = 5_000
RENEW_S = 1.0
#: Facts of a dead worker undone by one script, and transitions taken at one time.
PURGE_SLICE = 200
DUE_SLICE = 500

_log = logging.getLogger(__name__)


class Leader:
    """:param incarnation: this worker's name in the cluster as it is now."""

    def __init__(
        self,
        store: OccupancyStore,
        queue: WebhookQueue,
        apps: AppManager,
        batching: Batching,
        wanted: Wanted,
        metrics: Metrics,
        *,
        incarnation: Callable[[], str],
        node_timeout_ms: int,
        delivery: Delivery,
    ) -> None:
        self._store = store
        self._queue = queue
        self._apps = apps
        self._batching = batching
        self._wanted = wanted
        self._metrics = metrics
        self._incarnation = incarnation
        self._node_timeout_ms = node_timeout_ms
        self._delivery = delivery
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.leading = False

    async def start(self) -> None:
        self._task = spawn(self._run(), "leader")

    async def stop(self) -> None:
        await cancel(self._task)
        await self._delivery.stop()
        if self.leading:
            self.leading = False
            with contextlib.suppress(StoreUnavailable):
                await self._store.release(self._incarnation())

    def wake(self) -> None:
        """Something was decided, or a worker died."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            wait_s = RENEW_S * random.uniform(0.8, 1.2)
            try:
                await self._set_leading(await self._store.acquire(self._incarnation(), LEASE_MS))
                if self.leading:
                    next_due_ms = await self._lead()
                    if next_due_ms is not None:
                        wait_s = min(wait_s, next_due_ms / 1000)
            except StoreUnavailable as error:
                if self.leading:
                    _log.warning("no longer the leader: %s", error)
                await self._set_leading(False)
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait_s)
                if self.leading and self._batching.enabled:
                    await asyncio.sleep(self._batching.duration / 1000)

    async def _lead(self) -> int | None:
        """One round; when the next transition comes due."""
        for dead in await self._store.expired(self._node_timeout_ms):
            _log.info("giving up what dead worker %s held", dead)
            await self._delivery.worker_died(dead)
            while await self._store.purge(self._incarnation(), dead, self._wanted, PURGE_SLICE):
                if not await self._store.acquire(self._incarnation(), LEASE_MS):
                    return None
            self._metrics.worker_purged()
        while True:
            due = await self._store.due(DUE_SLICE)
            if not due.transitions:
                return due.next_due_in_ms
            if not await self._tell(due.transitions):
                return 0

    async def _tell(self, transitions: Sequence[Transition]) -> bool:
        jobs: list[Job] = []
        now_ms = time.time_ns() // 1_000_000
        for app in self._apps.all():
            mine = [from_transition(transition) for transition in transitions if transition.app_id == app.id]
            if mine:
                jobs += jobs_for(app, mine, self._batching, now_ms)
        target = self._queue.default_list
        if target is None:
            await self._queue.put(jobs)
            return await self._store.commit(self._incarnation(), transitions, [])
        return await self._store.commit(self._incarnation(), transitions, [(target, encode(job)) for job in jobs])

    async def _set_leading(self, leading: bool) -> None:
        if leading == self.leading:
            return
        self.leading = leading
        if leading:
            self._metrics.became_leader()
            await self._delivery.start()
        else:
            await self._delivery.stop()
