"""Sends connections that have lived for `websocket.max_connection_age` to a new life elsewhere, so that nodes even out.

Costs nothing where the option is off; else some hundred bytes for each connection.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine.errors import CloseCode
from engine.tasks import cancel, spawn
from engine.worker.sending_away import send_away

LOOK_EVERY_S = 1.0
#: Lives differ by so much of the age: clients that came together must not go together.
JITTER = 0.2


class MaxAge:
    """:param age_s: 0 is no limit. :param now_s: monotonic seconds."""

    def __init__(self, hub: Hub, age_s: int, now_s: Callable[[], float]) -> None:
        self._hub = hub
        self._age_s = age_s
        self._now_s = now_s
        #: When each connection is to go, the first to go in front.
        self._ends: list[tuple[float, str]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def admitted(self) -> Callable[[Connection], None] | None:
        """To be called for each connection; None where nobody has to."""
        return self._note if self._age_s else None

    async def start(self) -> None:
        if self._age_s:
            self._task = spawn(self._run(), "max-age")

    async def stop(self) -> None:
        await cancel(self._task)

    async def send_due(self) -> None:
        """Send away whose time has come."""
        due = []
        while self._ends and self._ends[0][0] <= self._now_s():
            connection = self._hub.get(heapq.heappop(self._ends)[1])
            if connection is not None:
                due.append(connection)
        await send_away(due, CloseCode.RECONNECT)

    def _note(self, connection: Connection) -> None:
        ends_at = self._now_s() + self._age_s * random.uniform(1 - JITTER, 1)
        heapq.heappush(self._ends, (ends_at, connection.socket_id))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.send_due()
