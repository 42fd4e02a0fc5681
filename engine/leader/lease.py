"""Who leads the cluster, and until when: one worker, by a lease in the store.

The parts of the leader ask here between two steps. What a leader does is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from engine.interfaces import OccupancyStore

#: A leader that says nothing for so long is none any more.
LEASE_MS = 5_000

_log = logging.getLogger(__name__)


class Lease:
    """:param incarnation: this worker's name in the cluster as it is now.
    :param on_change: awaited with True when this worker has begun to lead, and False when it does not any more.
    :param renew_every_s: how often to ask the store for it, or for more of it.

    :ivar holder: the name under which it was asked for last. :ivar held: whether this worker leads.
    :ivar term: how often this worker has begun to lead.
    """

    def __init__(
        self,
        store: OccupancyStore,
        incarnation: Callable[[], str],
        on_change: Callable[[bool], Awaitable[None]],
        *,
        renew_every_s: float,
        ttl_ms: int = LEASE_MS,
    ) -> None:
        self._store = store
        self._incarnation = incarnation
        self._on_change = on_change
        self._renew_every_s = renew_every_s
        self._ttl_ms = ttl_ms
        self._renew_at = self._ends_at = 0.0
        self.holder = ""
        self.held = False
        self.term = 0

    async def renew(self) -> None:
        """Take or renew it, if it is time. Raises StoreUnavailable."""
        me, now = self._incarnation(), asyncio.get_running_loop().time()
        if self.held and me == self.holder and now < self._renew_at:
            return
        if self.held and me != self.holder:
            # This worker was given up under the name under which it leads.
            await self._store.release(self.holder)
        held = await self._store.acquire(me, self._ttl_ms)
        self.holder = me
        self._ends_at = now + self._ttl_ms / 1000
        self._renew_at = now + self._renew_every_s * random.uniform(0.5, 1.0)
        await self._set_held(held)

    def doubt(self) -> None:
        """It may be lost: the next `renew` asks the store, however soon."""
        self._renew_at = 0.0

    async def check(self) -> None:
        """Without an answer of the store: until it has run out nobody else leads, and this worker may go on."""
        if self.held and asyncio.get_running_loop().time() >= self._ends_at:
            await self._set_held(False)

    async def give_back(self) -> None:
        """Stop leading and let another worker lead at once. Raises StoreUnavailable: it then waits for the end."""
        await self._set_held(False)
        await self._store.release(self.holder)

    async def _set_held(self, held: bool) -> None:
        if held == self.held:
            return
        self.held = held
        if held:
            self.term += 1
            _log.info("leading as %s", self.holder)
        else:
            _log.info("not leading any more")
        await self._on_change(held)
