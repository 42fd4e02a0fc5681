"""The one place where a PusherError becomes bytes: counted, logged, sent, and the connection closed where it must be.

What is logged holds nothing of what the client sent but names.
"""

from __future__ import annotations

import logging

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.errors import PusherError, SubscriptionError
from engine.log.notices import Notices
from engine.metrics.metrics import Metrics
from engine.protocol import messages
from engine.tap.tap import NOBODY, Tap

_log = logging.getLogger(__name__)


class Refusal:
    """Sends clients what went wrong with them."""

    def __init__(self, metrics: Metrics, tap: Tap = NOBODY) -> None:
        self._tap = tap
        self._metrics = metrics.connections
        self._notices = Notices(_log)

    def send(self, connection: Connection, error: PusherError) -> None:
        """pusher:error or pusher:subscription_error, and the close frame that may follow."""
        app_id = connection.traffic.app_id
        app = app_id or "(unknown)"
        _log.debug("app %s: socket %s is sent: %s", app, connection.socket_id, error.in_short)
        self._notices.refused(app, "a client", error)
        if self._tap.active:
            self._note(connection, error)
        if isinstance(error, SubscriptionError):
            self._metrics.errors.add(1, app_id, "subscription")
            connection.send(text_frame(messages.subscription_error(error)))
            return
        self._metrics.errors.add(1, app_id, str(int(error.code)) if error.code is not None else "message")
        connection.send(text_frame(messages.error(error.code, error.message, error.channel)))
        if error.closes and error.code is not None:
            connection.close(error.code, error.message)

    def _note(self, connection: Connection, error: PusherError) -> None:
        about = {} if error.channel is None else {"channel": error.channel}
        code = {} if error.code is None else {"code": int(error.code)}
        app_id, socket_id = connection.traffic.app_id, connection.socket_id
        self._tap.note("refused", app_id, socket_id=socket_id, reason=error.message, **about, **code)
