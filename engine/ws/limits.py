"""How much one connection may send and join.

Costs nothing where the limit is off, as all of them are unless configured (D-10).
"""

from __future__ import annotations

import time

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol.channel import is_server_owned


def count_message(connection: Connection) -> bool:
    """Whether the app's limit of messages lets this one pass (`message_rate_limit`).

    Raises PusherError for the first one of a window that does not; an answer to each would only add to the flood.
    """
    app, state = connection.app, connection.state
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
    taken = sum(not is_server_owned(channel.name) for channel in hub.channels_of(connection))
    if taken + sum(not is_server_owned(joined) for joined in connection.state.joining()) >= limit:
        message = f"Cannot subscribe to more than {limit} channels on one connection"
        raise SubscriptionError(name, message, kind="LimitReached", status=CloseCode.OVER_CAPACITY)
