"""The loop of the leader, and of every worker that would become it: renew the lease, reap, relay, audit; and the
hand-over of delivery.

Nothing that it does depends on having done it before: what is emitted and what is purged is decided in the store, in
scripts that check the lease.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from engine.app_manager import AppManager
from engine.config.webhooks import Batching
from engine.errors import StoreUnavailable
from engine.interfaces import InterestOf, OccupancyStore, Report, WebhookQueue
from engine.leader.lease import LEASE_MS, Lease
from engine.leader.reaper import Auditor, Reaper
from engine.leader.relay import Relay
from engine.metrics.metrics import Metrics
from engine.occupancy.failure_detector import MAX_STEP
from engine.tasks import cancel, spawn, within

LOOK_EVERY_S = 1.0
#: How soon a worker that does not lead looks again after being woken: most wakes are for the leader.
FOLLOW_PAUSE_S = 0.2
#: What `stop` gives the last look at what is due.
STOP_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class Consumer(Protocol):
    """What runs in the leader only: `webhooks/delivery/consumer.py`. May be started again after it was stopped."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def worker_died(self, incarnation: str) -> None: ...


class Leader:
    """:param company_s: how long what woke the leader waits for more of its kind.
    :param look_every_s: between two looks while nobody wakes us.
    """

    def __init__(
        self,
        lease: Lease,
        reaper: Reaper,
        auditor: Auditor,
        relay: Relay,
        delivery: Consumer,
        *,
        company_s: float,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._lease = lease
        self._reaper = reaper
        self._auditor = auditor
        self._delivery = delivery
        self._company_s = company_s
        self._look_every_s = look_every_s
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lost = self._stopping = False
        self.relay = relay

    @property
    def leading(self) -> bool:
        return self._lease.held

    async def start(self) -> None:
        self._task = spawn(self._run(), "leader")

    async def stop(self) -> None:
        """Emit what is due, then let another worker lead."""
        self._stopping = True
        self._woken.set()
        await cancel(self._task)
        if not self.leading:
            await self._delivery.stop()
            return
        try:
            async with within(STOP_TIMEOUT_S):
                await self.relay.emit_due()
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("leaving what is due to the next leader: %s", error or "no time left")
        try:
            await self._lease.give_back()
        except StoreUnavailable as error:
            _log.warning("the next leader must wait for the lease to end: %s", error)

    def wake(self) -> None:
        """Something was decided, a worker died, or the lease is free."""
        self._woken.set()

    async def _run(self) -> None:
        while not self._stopping:
            # Before looking, so that a wake during the look leads to the next one.
            self._woken.clear()
            await self._wait(await self._look())

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with within(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return
        # What woke us waits for company, but never longer than the batching's duration.
        await asyncio.sleep(self._company_s if self.leading else FOLLOW_PAUSE_S)

    async def _look(self) -> float:
        """Do what is to be done now; how long to wait for more."""
        wait_s = self._look_every_s * random.uniform(0.8, 1.2)
        try:
            await self._lease.renew()
            if not self.leading:
                await self._reaper.watch()
            else:
                more_dead = await self._reaper.reap()
                next_due_ms = await self.relay.emit_due()
                await self._auditor.step()
                if more_dead:
                    wait_s = 0.0
                elif next_due_ms is not None:
                    wait_s = min(wait_s, next_due_ms / 1000)
            self._note_lost(None)
        except StoreUnavailable as error:
            self._note_lost(error)
            await self._lease.check()
        return wait_s

    def _note_lost(self, error: StoreUnavailable | None) -> None:
        if error is not None and not self._lost:
            _log.warning("webhooks and the purge of dead workers wait: %s", error)
        elif error is None and self._lost:
            _log.info("shared state answers again")
        self._lost = error is not None


def build_leader(
    store: OccupancyStore,
    queue: WebhookQueue,
    apps: AppManager,
    batching: Batching,
    interest_of: InterestOf,
    metrics: Metrics,
    *,
    incarnation: Callable[[], str],
    node_timeout_ms: int,
    delivery: Consumer,
    departed: Callable[[Report], None],
    catch_up: Callable[[Collection[str]], Awaitable[None]] | None = None,
    lease_ms: int = LEASE_MS,
    look_every_s: float = LOOK_EVERY_S,
) -> Leader:
    """The leader of these collaborators; each parameter is what the part of the same name says of it."""

    async def hand_over(leading: bool) -> None:
        if leading:
            metrics.occupancy.led.add(1)
            await delivery.start()
        else:
            await delivery.stop()

    # The store counts silence only between looks that are near enough to each other.
    look_every_s = min(look_every_s, node_timeout_ms / 1000 * MAX_STEP)
    lease = Lease(store, incarnation, hand_over, renew_every_s=look_every_s, ttl_ms=lease_ms)
    return Leader(
        lease,
        Reaper(
            store,
            lease,
            interest_of,
            metrics,
            node_timeout_ms=node_timeout_ms,
            worker_died=delivery.worker_died,
            departed=departed,
        ),
        Auditor(store, lease, apps, interest_of, metrics),
        Relay(store, queue, apps, batching, lease, metrics, catch_up),
        delivery,
        company_s=batching.duration / 1000 if batching.enabled else 0.0,
        look_every_s=look_every_s,
    )
