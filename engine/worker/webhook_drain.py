"""The webhooks that are to be emitted before a worker goes, as far as the grace period allows.

With a queue in Redis whatever is left stays there for the next leader; with one in memory it would be lost, so this
waits for settling times too. Never longer than the grace period.
"""

from __future__ import annotations

import asyncio
import logging

from engine.errors import StoreUnavailable
from engine.interfaces import OccupancyStore, WebhookQueue
from engine.leader.leader import Leader
from engine.occupancy.reporter import Reporter
from engine.tasks import within
from engine.webhooks.batcher import Batcher

LOOK_EVERY_S = 0.05
#: Nothing to do for so long is the end: other workers of this host drain at the same time, and fill the queue last.
QUIET_S = 0.25

_log = logging.getLogger(__name__)


class WebhookDrain:
    """:param wait_for_settling: the state ends with this process, so departures are emitted even if that takes a while.
    :param lasting: the queue outlives this process.
    """

    def __init__(
        self,
        store: OccupancyStore,
        queue: WebhookQueue,
        reporter: Reporter,
        batcher: Batcher,
        leader: Leader,
        *,
        wait_for_settling: bool,
        lasting: bool,
    ) -> None:
        self._store = store
        self._queue = queue
        self._reporter = reporter
        self._batcher = batcher
        self._leader = leader
        self._wait_for_settling = wait_for_settling
        self._lasting = lasting

    async def flush(self, timeout_s: float) -> None:
        """Deliver what has happened so far, wherever the queue is; clients may still be here."""
        if self._lasting:
            await self._within(timeout_s, deliver=True)

    async def run(self, timeout_s: float) -> None:
        """The clients have gone. Return when nothing is left that only this process knows, or after the time."""
        await self._within(timeout_s, deliver=not self._lasting)

    async def _within(self, timeout_s: float, *, deliver: bool) -> None:
        try:
            async with within(timeout_s):
                await self._reporter.settled()
                await self._batcher.flush(timeout_s)
                if deliver and self._leader.leading:
                    await self._until_quiet()
        except TimeoutError:
            _log.warning("not all webhooks were delivered in the time there was")
        except StoreUnavailable as error:
            _log.warning("webhooks are left to the next leader: %s", error)

    async def _until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while loop.time() - quiet_since < QUIET_S:
            self._leader.wake()
            # The leader would let what is due wait for company, longer perhaps than there is time.
            await self._leader.relay.emit_due()
            await asyncio.sleep(LOOK_EVERY_S)
            if await self._busy():
                quiet_since = loop.time()

    async def _busy(self) -> bool:
        depth = await self._queue.depth()
        if depth["waiting"] or depth["in_flight"]:
            return True
        due = await self._store.due(1)
        return bool(due.transitions) or (self._wait_for_settling and due.next_due_in_ms is not None)
