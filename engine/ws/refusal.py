"""The one place where a PusherError becomes bytes: counted, told, and the connection closed where its code says so."""

from __future__ import annotations

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.errors import PusherError, SubscriptionError
from engine.metrics.metrics import Metrics
from engine.protocol import messages


class Refusal:
    """Tells clients what went wrong with them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics.connections

    def tell(self, connection: Connection, error: PusherError) -> None:
        """pusher:error or pusher:subscription_error, and the close frame that may follow."""
        app_id = connection.traffic.app_id
        if isinstance(error, SubscriptionError):
            self._metrics.errors.add(1, app_id, "subscription")
            connection.send(text_frame(messages.subscription_error(error)))
            return
        self._metrics.errors.add(1, app_id, str(int(error.code)) if error.code is not None else "message")
        connection.send(text_frame(messages.error(error.code, error.message, error.channel)))
        if error.closes and error.code is not None:
            connection.close(error.code, error.message)
