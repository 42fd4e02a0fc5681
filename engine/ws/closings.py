"""Connections that have been left and whose sockets are still there: each is ended at a time that no byte moves.

Refused ones are among them, which are in no hub. Never decides that a connection ends.
"""

from __future__ import annotations

from engine._fast.clock import monotonic_s
from engine._fast.connection import Connection

#: How long a client may take to answer a close frame and to read what it was sent before its socket is ended.
CLOSE_TIMEOUT_S = 5
#: Refused connections whose sockets are kept until their clients have heard why; the oldest goes for one more.
MAX_REFUSED = 256


class Closings:
    """Ends the sockets of clients that do not do it themselves."""

    def __init__(self) -> None:
        #: When its time is up (monotonic seconds), oldest first.
        self._deadlines: dict[Connection, int] = {}
        self._refused: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def begin(self, connection: Connection, *, refused: bool) -> None:
        """The connection was left just now. :param refused: it never was let in."""
        self._deadlines[connection] = monotonic_s() + CLOSE_TIMEOUT_S
        if not refused:
            return
        if len(self._refused) >= MAX_REFUSED:
            self._abort(next(iter(self._refused)))
        self._refused[connection] = None

    def gone(self, connection: Connection) -> None:
        """Its socket is gone."""
        self._deadlines.pop(connection, None)
        self._refused.pop(connection, None)

    def sweep(self) -> None:
        """End those whose time is up. To be called once a second."""
        now = monotonic_s()
        for connection in [connection for connection, deadline in self._deadlines.items() if now >= deadline]:
            self.gone(connection)
            # What it has not read by now it never will, and the kernel need not keep it.
            connection.abort(forget=True)

    def abort_all(self) -> None:
        for connection in list(self._deadlines):
            self._abort(connection)

    def _abort(self, connection: Connection) -> None:
        self.gone(connection)
        connection.abort()
