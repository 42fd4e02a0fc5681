"""How much one connection may send and join, and how many one address may open.

Called by the handlers for every message and connection; costs nothing where the limit is off, as all of them are unless
configured (D-10).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine.app import App
from engine.config.limits import RateLimit
from engine.errors import CloseCode, PusherError, StoreUnavailable, SubscriptionError
from engine.interfaces import RateLimiter
from engine.metrics.metrics import Metrics
from engine.protocol.channel import is_server_owned
from engine.tasks import serve
from engine.ws.state import ConnectionState


def count_message(connection: Connection) -> bool:
    """Whether the app's limit of messages lets this one pass (`message_rate_limit`).

    Raises PusherError for the first one of a window that does not; an answer to each would only add to the flood.
    """
    app: App = connection.app
    state: ConnectionState = connection.state
    window = int(time.monotonic() / app.message_window_s)
    if state.messages is None or state.messages[0] != window:
        state.messages = [window, 0]
    state.messages[1] += 1
    excess = state.messages[1] - app.max_messages
    if excess == 1:
        # Never closed with 4301: pusher-js would not come back (C-29).
        code = CloseCode.OVER_CAPACITY if app.close_on_message_limit else CloseCode.CLIENT_EVENT_REJECTED
        raise PusherError(code, "The rate limit for messages of a connection exceeded the quota.")
    return excess <= 0


def check_channels(hub: Hub, connection: Connection, name: str) -> None:
    """Raises SubscriptionError when the connection is in as many channels as the app allows, or on its way."""
    limit = connection.app.max_channels
    if not limit:
        return
    joining = connection.state.joining or ()
    taken = sum(not is_server_owned(channel.name) for channel in hub.channels_of(connection))
    if taken + sum(not is_server_owned(joined) for joined in joining) >= limit:
        message = f"Cannot subscribe to more than {limit} channels on one connection"
        raise SubscriptionError(name, message, kind="LimitReached", status=CloseCode.OVER_CAPACITY)


class AddressLimit:
    """New connections of one address (`rate_limiter.websocket_rate_limit`)."""

    def __init__(self, limiter: RateLimiter, limit: RateLimit, metrics: Metrics) -> None:
        self._limiter = limiter
        self._limit = limit
        self._metrics = metrics
        #: Checks under way; kept so that they are not collected. Each is bounded by the limiter's own time-out.
        self._checking: set[asyncio.Task[None]] = set()

    def check(self, address: str, decide: Callable[[PusherError | None], None], end: Callable[[], None]) -> None:
        """Count one connection; `decide` is called with the reason when it is one too many.

        :param end: ends the connection, should that fail.
        """
        task = serve(self._check(address, decide), "address-limit", end)
        self._checking.add(task)
        task.add_done_callback(self._checking.discard)

    async def _check(self, address: str, decide: Callable[[PusherError | None], None]) -> None:
        limit = self._limit
        try:
            decision = await self._limiter.hit(f"websocket:{address}", limit.max_requests, limit.window_seconds)
        except StoreUnavailable:
            # As with the limits of the HTTP API: rather too many than none.
            decide(None)
            return
        self._metrics.rate_limit_checked("", "address", "websocket", refused=not decision.allowed)
        if decision.allowed:
            decide(None)
        else:
            message = f"Too many connections from this address; try again in {decision.retry_after_s} s"
            decide(PusherError(CloseCode.OVER_CAPACITY, message))
