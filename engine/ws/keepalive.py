"""One sweep for all sockets: pings the silent, ends those that do not answer, closes the never authorised.

Wakes those whose reading rests, too. Never looks at what clients send.
"""

from __future__ import annotations

import asyncio

from engine._fast.clock import monotonic_s
from engine._fast.connection import Connection
from engine._fast.frame import ping_frame, text_frame
from engine._fast.hub import Hub
from engine.errors import CloseCode
from engine.protocol import messages
from engine.tasks import cancel, spawn
from engine.ws.closings import Closings

SWEEP_S = 1.0
#: How long a client may take to answer a pusher:ping (C-23).
PONG_TIMEOUT_S = 30


class Keepalive:
    """Watches over every connection of the hub.

    :param activity_timeout_s: silence after which a client is pinged (C-15).
    """

    def __init__(self, hub: Hub, activity_timeout_s: int) -> None:
        self._hub = hub
        self._activity_timeout_s = activity_timeout_s
        self._closings = Closings()
        self._page_ping = text_frame(messages.PING)
        # Some libraries answer only the one or the other. In one piece, so that it costs what one of them does.
        self._ping = self._page_ping + ping_frame()
        self._task: asyncio.Task[None] | None = None
        #: Connections that must authorise themselves -> when their time is up (monotonic seconds), oldest first.
        self._unauthorized: dict[Connection, int] = {}

    async def start(self) -> None:
        self._task = spawn(self._run(), "keepalive")

    async def stop(self) -> None:
        await cancel(self._task)
        self._closings.abort_all()

    def leaving(self, connection: Connection, *, refused: bool) -> None:
        """Nothing is expected of the connection any more but to be gone soon. :param refused: it never was let in."""
        self.forget(connection)
        self._closings.begin(connection, refused=refused)

    def gone(self, connection: Connection) -> None:
        """Its socket is gone."""
        self._closings.gone(connection)

    def expect_authorization(self, connection: Connection, timeout_s: float) -> None:
        """Close the connection with 4009 unless it has signed in or joined a private channel within the time (U-7)."""
        self._unauthorized[connection] = monotonic_s() + int(timeout_s)

    def forget(self, connection: Connection) -> None:
        self._unauthorized.pop(connection, None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Look at every connection once."""
        self._hub.flush_queue.reads.wake()
        silent, _ = self._hub.sweep(self._ping, self._page_ping, self._activity_timeout_s, PONG_TIMEOUT_S)
        for connection in silent:
            self._end(connection, CloseCode.PONG_TIMEOUT, "Pong reply not received in time")
        self._closings.sweep()
        if self._unauthorized:
            self._close_unauthorized()

    def _close_unauthorized(self) -> None:
        now = monotonic_s()
        for connection, deadline in list(self._unauthorized.items()):
            if connection.state.authorized:
                del self._unauthorized[connection]
            elif now >= deadline:
                del self._unauthorized[connection]
                self._end(connection, CloseCode.UNAUTHORIZED, "Connection not authorized within timeout.")

    @staticmethod
    def _end(connection: Connection, code: CloseCode, reason: str) -> None:
        connection.send(text_frame(messages.error(code, reason)))
        connection.close(code, reason)
