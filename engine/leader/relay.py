"""Transitions whose time has come become webhook jobs and are kept where a presence history wants it, each once and in
order.

Nothing here depends on having been done before: a job made again has the same id, and a commit fails without the lease.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from engine.app import App
from engine.app_manager import AppManager
from engine.config.event_types import MEMBER_ADDED, MEMBER_REMOVED
from engine.config.webhooks import Batching
from engine.history import presence
from engine.interfaces import Job, KeptChange, OccupancyStore, Transition, WebhookQueue
from engine.leader.lease import Lease
from engine.metrics.metrics import Metrics
from engine.webhooks.event import WebhookEvent, from_transition
from engine.webhooks.filter import wants
from engine.webhooks.job import encode, jobs_for

#: Transitions made into jobs at one time.
DUE_SLICE = 500

_log = logging.getLogger(__name__)


class Relay:
    """:param catch_up: awaited before what concerns unknown apps is dropped: another worker may have heard of them
    first."""

    def __init__(
        self,
        store: OccupancyStore,
        queue: WebhookQueue,
        apps: AppManager,
        batching: Batching,
        lease: Lease,
        metrics: Metrics,
        catch_up: Callable[[Collection[str]], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._apps = apps
        self._batching = batching
        self._lease = lease
        self._metrics = metrics
        self._catch_up = catch_up
        self._emitting = asyncio.Lock()

    async def put(self, jobs: Sequence[Job]) -> None:
        """Queue jobs of events that this worker saw, behind what may be emitted by now: nobody is heard of before
        having come, whoever leads. Raises StoreUnavailable."""
        target = self._target()
        if target is not None:
            await self._store.push([(target, encode(job)) for job in jobs])
        else:
            await self.emit_due()
            await self._queue.put(jobs)

    async def emit_due(self) -> int | None:
        """Make jobs of all that is due; in how many ms the next transition will be (None: none waits)."""
        async with self._emitting:
            while self._lease.held:
                due = await self._store.due(DUE_SLICE)
                if not due.transitions:
                    return due.next_due_in_ms
                if not await self._emit(due.transitions):
                    # The lease is lost, or a member came back meanwhile: ask again who leads and what is due.
                    self._lease.doubt()
                await self._lease.renew()
        return None

    async def _emit(self, transitions: Sequence[Transition]) -> bool:
        by_app: dict[str, list[WebhookEvent]] = {}
        for transition in transitions:
            by_app.setdefault(transition.app_id, []).append(from_transition(transition))
        unknown = [app_id for app_id in by_app if self._apps.by_id(app_id) is None]
        if unknown and self._catch_up is not None:
            await self._catch_up(unknown)
        jobs: list[Job] = []
        now_ms = time.time_ns() // 1_000_000
        for app_id, events in by_app.items():
            app = self._apps.by_id(app_id)
            if app is not None:
                jobs += jobs_for(app, events, self._batching, now_ms)
        for job in jobs:
            job.id = _stable_id(job)

        target = self._target()
        if target is not None:
            pushed = [(target, encode(job)) for job in jobs]
        else:
            # Not in one step: should this worker die in between, the next leader queues them again, with the same ids.
            await self._queue.put(jobs)
            pushed = []
        kept = self._kept(transitions)
        committed = await self._store.commit(self._lease.holder, transitions, pushed, kept)
        if committed:
            for app_id, events in by_app.items():
                self._count(app_id, self._apps.by_id(app_id), events)
        return committed

    def _kept(self, transitions: Sequence[Transition]) -> list[KeptChange]:
        """Those that a presence history wants, in order."""
        kept = []
        for each in transitions:
            app = self._apps.by_id(each.app_id)
            if app is None or not app.presence_history or each.name not in (MEMBER_ADDED, MEMBER_REMOVED):
                continue
            retention = app.presence_retention(each.channel)
            if retention is not None:
                kept.append(KeptChange(each.app_id, each.channel, retention, presence.payload_of(each)))
        return kept

    def _target(self) -> str | None:
        """The list that the store's scripts push jobs to, where it has scripts and the queue a list."""
        return self._queue.default_list if self._store.pushes_jobs else None

    def _count(self, app_id: str, app: App | None, events: Sequence[WebhookEvent]) -> None:
        if app is None:
            _log.warning("%d transitions of app %r dropped: the configuration has no such app", len(events), app_id)
            self._metrics.webhooks.dropped.add(len(events), "", "")
            return
        for endpoint in app.endpoints:
            for event in events:
                if wants(endpoint, event.name, event.channel):
                    self._metrics.webhooks.events.add(1, app.id, endpoint.id, event.name)


def _stable_id(job: Job) -> str:
    """The same for the same events to the same endpoint, whenever and by whomever the job is made."""
    events = job.body.partition('"events":')[2]
    return hashlib.sha256(f"{job.app_id}/{job.endpoint_id}/{events}".encode()).hexdigest()[:32]
