"""What the store holds and should not: the facts of dead workers, and figures that Redis lost or others wrote.

Works in slices and asks for the lease between two of them. The store alone decides what is purged or mended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from engine.app_manager import AppManager
from engine.interfaces import InterestOf, OccupancyStore, Report
from engine.leader.lease import Lease
from engine.metrics.metrics import Metrics

#: Facts of a dead worker undone by one script, and scripts between two looks at what is due.
PURGE_FACTS = 200
PURGE_SLICES = 20
#: Shared figures looked at in one step of the audit, and the pause after it.
AUDIT_FIGURES = 300
AUDIT_EVERY_S = 2.0

_log = logging.getLogger(__name__)


class Reaper:
    """Undoes what dead workers held.

    :param interest_of: what webhooks want of a dead worker's channels.
    :param node_timeout_ms: silence after which a worker counts as dead.
    :param worker_died: awaited with the incarnation of each dead worker, once in a term, before anything is undone.
    :param departed: hears of all that is taken back from dead workers.
    """

    def __init__(
        self,
        store: OccupancyStore,
        lease: Lease,
        interest_of: InterestOf,
        metrics: Metrics,
        *,
        node_timeout_ms: int,
        worker_died: Callable[[str], Awaitable[None]],
        departed: Callable[[Report], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._interest_of = interest_of
        self._metrics = metrics
        self._node_timeout_ms = node_timeout_ms
        self._worker_died = worker_died
        self._departed = departed
        #: Dead workers whose purge has begun in this term.
        self._reaping: set[str] = set()
        self._term = 0

    async def watch(self) -> None:
        """For workers that do not lead: the next leader has observed the heartbeats long enough already."""
        await self._store.expired(self._node_timeout_ms)

    async def reap(self) -> bool:
        """Undo what dead workers held; True when some is left for the next look."""
        if self._term != self._lease.term:
            self._term = self._lease.term
            self._reaping.clear()
        for name in await self._dead():
            if name not in self._reaping:
                _log.info("worker %s is gone; giving up what it still held", name)
                self._reaping.add(name)
                await self._worker_died(name)
            for _ in range(PURGE_SLICES):
                if not await self._store.purge(
                    self._lease.holder, name, self._interest_of, PURGE_FACTS, self._departed
                ):
                    self._reaping.discard(name)
                    self._metrics.occupancy.purged.add(1)
                    break
                await self._lease.renew()
                if not self._lease.held:
                    return False
            else:
                return True
        return False

    async def _dead(self) -> list[str]:
        return [name for name in await self._store.expired(self._node_timeout_ms) if name != self._lease.holder]


class Auditor:
    """Walks over the shared figures of all applications, again and again, and has mended what is wrong."""

    def __init__(
        self, store: OccupancyStore, lease: Lease, apps: AppManager, interest_of: InterestOf, metrics: Metrics
    ) -> None:
        self._store = store
        self._lease = lease
        self._apps = apps
        self._interest_of = interest_of
        self._metrics = metrics
        self._next_at = 0.0

    async def step(self) -> None:
        """The next figures, if it is time for them."""
        now = asyncio.get_running_loop().time()
        if not self._lease.held or now < self._next_at:
            return
        self._next_at = now + AUDIT_EVERY_S
        apps = [app.id for app in self._apps.all()]
        mended = await self._store.audit(self._lease.holder, apps, self._interest_of, AUDIT_FIGURES)
        if mended:
            _log.warning("%d shared figures were wrong and have been mended", mended)
            self._metrics.occupancy.mended.add(mended)
