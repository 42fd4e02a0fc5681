"""The leader of the cluster: one worker, by lease. Turns due transitions into webhook jobs, and buries dead workers.

Every worker runs one of these and tries to become it. Nothing that it does depends on having done it before: what is
told and what is purged is decided in the store, in scripts that check the lease.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from engine.app import App
from engine.config.webhooks import Batching
from engine.errors import StoreUnavailable
from engine.interfaces import AppManager, Job, OccupancyStore, Report, Transition, Wanted, WebhookQueue
from engine.metrics.metrics import Metrics
from engine.occupancy.failure_detector import MAX_STEP
from engine.tasks import cancel, spawn
from engine.webhooks.event import WebhookEvent, from_transition
from engine.webhooks.filter import matches
from engine.webhooks.job import encode, jobs_for

#: A leader that says nothing for so long is none any more.
LEASE_MS = 5_000
LOOK_EVERY_S = 1.0
#: How soon a worker that does not lead looks again after being woken: most wakes are for the leader.
FOLLOW_PAUSE_S = 0.2
#: Facts of a dead worker undone by one script, and scripts between two looks at what is due.
PURGE_FACTS = 200
PURGE_SLICES = 20
#: Transitions told at one time.
DUE_SLICE = 500
#: Shared figures looked at in one step of the audit, and the pause after it.
AUDIT_FIGURES = 300
AUDIT_EVERY_S = 2.0
#: What `stop` gives the last look at what is due.
STOP_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class Consumer(Protocol):
    """What runs in the leader only: `webhooks/delivery.py`. May be started again after it was stopped."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def worker_died(self, incarnation: str) -> None: ...


class Leader:
    """:param wanted: what webhooks want of a dead worker's channels.
    :param incarnation: this worker's name in the cluster as it is now.
    :param departed: hears of all that is taken back from dead workers.
    :param catch_up: awaited before what concerns unknown apps is dropped: another worker may have heard of them first.
    :param node_timeout_ms: silence after which a worker counts as dead.
    :param look_every_s: between two looks while nobody wakes us; the lease, `lease_ms`, is renewed as often.
    """

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
        delivery: Consumer,
        departed: Callable[[Report], None],
        catch_up: Callable[[Collection[str]], Awaitable[None]] | None = None,
        lease_ms: int = LEASE_MS,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._store = store
        self._queue = queue
        self._apps = apps
        self._company_s = batching.duration / 1000 if batching.enabled else 0.0
        self._batching = batching
        self._wanted = wanted
        self._metrics = metrics
        self._incarnation = incarnation
        self._node_timeout_ms = node_timeout_ms
        self._delivery = delivery
        self._departed = departed
        self._catch_up = catch_up
        self._lease_ms = lease_ms
        # The store counts silence only between looks that are near enough to each other.
        self._look_every_s = min(look_every_s, node_timeout_ms / 1000 * MAX_STEP)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        #: Under which name the lease was taken last, when it is to be renewed, and until when it is surely held.
        self._me = ""
        self._renew_at = self._lease_until = 0.0
        self._audit_at = 0.0
        #: Dead workers whose purge has begun.
        self._burying: set[str] = set()
        self._telling = asyncio.Lock()
        self._lost = self._stopping = False
        self.leading = False

    async def start(self) -> None:
        self._task = spawn(self._run(), "leader")

    async def stop(self) -> None:
        """Tell what is due, then let another worker lead."""
        self._stopping = True
        self._woken.set()
        await cancel(self._task)
        if not self.leading:
            await self._delivery.stop()
            return
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._tell_due()
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("leaving what is due to the next leader: %s", error or "no time left")
        await self._set_leading(False)
        try:
            await self._store.release(self._me)
        except StoreUnavailable as error:
            _log.warning("the next leader must wait for the lease to end: %s", error)

    async def put(self, jobs: Sequence[Job]) -> None:
        """Queue jobs of events that this worker saw, behind what may be told by now: nobody is heard of before having
        come, whoever leads. Raises StoreUnavailable."""
        target = self._target()
        if target is not None:
            await self._store.push([(target, encode(job)) for job in jobs])
        else:
            await self._tell_due()
            await self._queue.put(jobs)

    def wake(self) -> None:
        """Something was decided, a worker died, or the lease is free."""
        self._woken.set()

    # --- the loop

    async def _run(self) -> None:
        while not self._stopping:
            # Before looking, so that a wake during the look leads to the next one.
            self._woken.clear()
            await self._wait(await self._look())

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return
        # What woke us waits for company, but never longer than the batching's duration.
        await asyncio.sleep(self._company_s if self.leading else FOLLOW_PAUSE_S)

    async def _look(self) -> float:
        """Do what is to be done now; how long to wait for more."""
        wait_s = self._look_every_s * random.uniform(0.8, 1.2)
        try:
            await self._renew()
            if not self.leading:
                # So that whoever leads next has watched the heartbeats long enough already.
                await self._store.expired(self._node_timeout_ms)
            else:
                more_dead = await self._bury_dead()
                next_due_ms = await self._tell_due()
                await self._audit()
                if more_dead:
                    wait_s = 0.0
                elif next_due_ms is not None:
                    wait_s = min(wait_s, next_due_ms / 1000)
            self._note_lost(None)
        except StoreUnavailable as error:
            self._note_lost(error)
            # Until the lease has run out nobody else leads, and delivery may go on.
            if self.leading and asyncio.get_running_loop().time() >= self._lease_until:
                await self._set_leading(False)
        return wait_s

    async def _renew(self) -> None:
        """Take or renew the lease, if it is time."""
        me, now = self._incarnation(), asyncio.get_running_loop().time()
        if self.leading and me == self._me and now < self._renew_at:
            return
        if self.leading and me != self._me:
            # This worker was given up under the name under which it leads.
            await self._store.release(self._me)
        leading = await self._store.acquire(me, self._lease_ms)
        self._me = me
        self._lease_until = now + self._lease_ms / 1000
        self._renew_at = now + self._look_every_s * random.uniform(0.5, 1.0)
        await self._set_leading(leading)

    async def _set_leading(self, leading: bool) -> None:
        if leading == self.leading:
            return
        self.leading = leading
        if leading:
            _log.info("leading as %s", self._me)
            self._metrics.became_leader()
            await self._delivery.start()
        else:
            _log.info("not leading any more")
            self._burying.clear()
            await self._delivery.stop()

    def _note_lost(self, error: StoreUnavailable | None) -> None:
        if error is not None and not self._lost:
            _log.warning("webhooks and the purge of dead workers wait: %s", error)
        elif error is None and self._lost:
            _log.info("shared state answers again")
        self._lost = error is not None

    # --- dead workers

    async def _bury_dead(self) -> bool:
        """Undo what dead workers held; True when some is left for the next look."""
        dead = [name for name in await self._store.expired(self._node_timeout_ms) if name != self._me]
        for name in dead:
            if name not in self._burying:
                _log.info("worker %s is gone; giving up what it still held", name)
                self._burying.add(name)
                await self._delivery.worker_died(name)
            for _ in range(PURGE_SLICES):
                if not await self._store.purge(self._me, name, self._wanted, PURGE_FACTS, self._departed):
                    self._burying.discard(name)
                    self._metrics.worker_purged()
                    break
                await self._renew()
                if not self.leading:
                    return False
            else:
                return True
        return False

    async def _audit(self) -> None:
        """One step of the walk that finds what Redis lost or somebody else wrote."""
        now = asyncio.get_running_loop().time()
        if not self.leading or now < self._audit_at:
            return
        self._audit_at = now + AUDIT_EVERY_S
        apps = [app.id for app in self._apps.all()]
        mended = await self._store.audit(self._me, apps, self._wanted, AUDIT_FIGURES)
        if mended:
            _log.warning("%d shared figures were wrong and have been mended", mended)
            self._metrics.add_drift(mended)

    # --- transitions

    async def _tell_due(self) -> int | None:
        """Make jobs of all that is due; in how many ms the next transition will be (None: none waits)."""
        async with self._telling:
            while self.leading:
                due = await self._store.due(DUE_SLICE)
                if not due.transitions:
                    return due.next_due_in_ms
                if not await self._tell(due.transitions):
                    # The lease is lost, or somebody came back meanwhile: ask again who leads and what is due.
                    self._renew_at = 0.0
                await self._renew()
        return None

    async def _tell(self, transitions: Sequence[Transition]) -> bool:
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
        told = await self._store.commit(self._me, transitions, pushed)
        if told:
            for app_id, events in by_app.items():
                self._count(app_id, self._apps.by_id(app_id), events)
        return told

    def _target(self) -> str | None:
        """The list that the store's scripts push jobs to, where it has scripts and the queue a list."""
        return self._queue.default_list if self._store.pushes_jobs else None

    def _count(self, app_id: str, app: App | None, events: Sequence[WebhookEvent]) -> None:
        if app is None:
            _log.warning("%d transitions of app %r dropped: the configuration has no such app", len(events), app_id)
            self._metrics.webhook_events_dropped("", "", len(events))
            return
        for endpoint in app.endpoints:
            for event in events:
                if matches(endpoint, event.name, event.channel):
                    self._metrics.webhook_event(app.id, endpoint.id, event.name)


def _stable_id(job: Job) -> str:
    """The same for the same events to the same endpoint, whenever and by whomever the job is made."""
    events = job.body.partition('"events":')[2]
    return hashlib.sha256(f"{job.app_id}/{job.endpoint_id}/{events}".encode()).hexdigest()[:32]
