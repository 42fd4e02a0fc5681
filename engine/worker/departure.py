"""How a worker goes: not ready, closed to newcomers, its clients sent away, its webhooks emitted.

The supervisor says when each phase begins, so that all workers of the node go through them together. Nothing here knows
of the control socket, nor why the worker goes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from engine.control import Order, Phase
from engine.errors import CloseCode
from engine.http.health import NODE
from engine.tasks import spawn
from engine.worker.parts import Parts
from engine.worker.sending_away import send_away

#: Of what is left until all has to be over, so much belongs to what comes after the clients.
FOR_THE_END = 0.3
#: Of the grace period, what is kept for the worker's parts to stop, with peers that do not answer.
STOP_SHARE, STOP_MAX_S = 0.4, 6.0
#: For the answers to the close frames.
ANSWERS_S = 2.0

_log = logging.getLogger(__name__)


class Departure:
    """:param grace_s: for everything, when nobody says when it is to be over. :param said: called after each phase.
    :ivar reached: the last phase that it has come to the end of.
    :ivar ends_at: when the process is to have ended, by CLOCK_MONOTONIC; 0 until that is known.
    """

    def __init__(self, parts: Parts, grace_s: float, said: Callable[[], None]) -> None:
        self._parts = parts
        self._grace_s = grace_s
        self._said = said
        self._ordered = Order()
        self._more = asyncio.Event()
        self.reached = Phase.SERVING
        self.ends_at = 0.0
        #: Kept so that it is not collected.
        self._shedding: asyncio.Task[None] | None = None

    def order(self, order: Order) -> None:
        """Go on to a later phase, by way of those between."""
        if order.phase > self._ordered.phase:
            self._ordered = order
            self._more.set()

    def note(self, order: Order) -> None:
        """What is to be done while it serves: say how the node is, or send some of the clients elsewhere."""
        if order.shed:
            some = random.sample(connections := self._parts.hub.connections(), min(order.shed, len(connections)))
            settle = self._parts.adapter.settle
            self._shedding = spawn(
                send_away(some, CloseCode.RECONNECT, order.pace_per_second, settle=settle), "shedding"
            )
        elif order.node:
            self._parts.health.set(NODE, order.node)
        else:
            self._parts.health.clear(NODE)

    async def run(self) -> None:
        """Return when the worker has nothing left but to stop its parts."""
        while self.reached < Phase.GONE:
            if self.reached >= self._ordered.phase:
                self._more.clear()
                await self._more.wait()
            step = _STEPS[Phase(self.reached + 1)]
            await step(self)
            self.reached = Phase(self.reached + 1)
            self._said()

    async def _leave(self) -> None:
        self._parts.health.draining = True

    async def _close(self) -> None:
        parts, order = self._parts, self._ordered
        await parts.listener.close()
        parts.acceptor.draining = True
        await parts.listener.finish_requests()
        self.ends_at = order.ends_at_s or time.monotonic() + self._grace_s
        if order.code not in (0, CloseCode.RECONNECT):
            # Nobody else is there, and the clients come back in a moment to whoever starts next: what is to be
            # delivered is delivered while they are still here, in all workers before one of them sends them away.
            await parts.adapter.settle()
            await parts.webhook_drain.flush(self._left_s() * FOR_THE_END)

    async def _go(self) -> None:
        parts, order = self._parts, self._ordered
        self.ends_at = order.ends_at_s or self.ends_at
        code = CloseCode(order.code or CloseCode.RECONNECT)
        _log.info("sending %d clients away", len(parts.hub))
        await parts.adapter.settle()
        must_be_away_s = max(0.0, self._left_s() * (1 - FOR_THE_END))
        connections = parts.hub.connections()
        await send_away(connections, code, order.pace_per_second, must_be_away_s, parts.adapter.settle)
        await parts.handlers.all_gone(min(ANSWERS_S, must_be_away_s))
        for connection in parts.hub.connections():
            connection.abort()
        await asyncio.sleep(0)
        await parts.webhook_drain.run(self._left_s())

    def _left_s(self) -> float:
        """Until the parts have to be stopped."""
        return self.ends_at - min(self._grace_s * STOP_SHARE, STOP_MAX_S) - time.monotonic()


_STEPS: dict[Phase, Callable[[Departure], Awaitable[None]]] = {
    Phase.LEAVING: Departure._leave,
    Phase.CLOSED: Departure._close,
    Phase.GONE: Departure._go,
}
