"""How much one connection may send, join, and get wrong.

What is only too fast waits, by the connection's reading being paused; an error is for what would not come right by
waiting. Numbers that are no option say here what they were chosen from.
"""

from __future__ import annotations

from time import monotonic

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol.channel import is_server_owned

#: Joins at once where channels of a connection are not limited: a page that comes back joins all it was in.
JOINS_AT_ONCE = 1000
#: Messages of one connection in so many seconds that may be answered with an error; nobody's program gets thousands and
#: goes on. A refused subscription is none of them: a page whose authorisation has run out gets one for each channel.
MAX_ERRORS, ERRORS_WINDOW_S = 1000, 10


def count_message(connection: Connection) -> bool:
    """Whether the app's limit of messages lets this one pass (`message_rate_limit`).

    Raises PusherError for the first one of a window that does not; an answer to each would only add to the flood.
    """
    app, state = connection.app, connection.state
    window = int(monotonic() / app.message_window_s)
    if state.messages is None or state.messages[0] != window:
        state.messages = [window, 0]
    state.messages[1] += 1
    excess = state.messages[1] - app.max_messages
    if excess == 1:
        # Never closed with 4301: pusher-js would not come back (C-29).
        code = CloseCode.OVER_CAPACITY if app.close_on_message_limit else CloseCode.CLIENT_EVENT_REJECTED
        raise PusherError(code, "The rate limit for messages of a connection exceeded the quota.")
    return excess <= 0


def count_error(connection: Connection) -> None:
    """One of its messages was answered with an error. Ends the connection (4100) when there are too many."""
    state = connection.state
    window = int(monotonic() / ERRORS_WINDOW_S)
    if state.errors is None or state.errors[0] != window:
        state.errors = [window, 0]
    state.errors[1] += 1
    if state.errors[1] > MAX_ERRORS:
        connection.close(CloseCode.OVER_CAPACITY, "Too many messages that cannot be handled")


def count_join(connection: Connection, per_second: int) -> None:
    """One channel more is being joined; when that is too fast, the connection is read on in the next second.

    :param per_second: what is allowed for long (`channel_limits.max_joins_per_second`); 0 is no limit. At once, as many
        are as the connection may be in.
    """
    if not per_second:
        return
    state, now_s = connection.state, monotonic()
    until_s = state.joins_until_s
    state.joins_until_s = until_s = (until_s if until_s > now_s else now_s) + 1 / per_second
    if until_s - now_s > (connection.app.max_channels or JOINS_AT_ONCE) / per_second:
        connection.rest()


def check_channels(hub: Hub, connection: Connection, name: str) -> None:
    """Raises SubscriptionError when the connection is in as many channels as the app allows, or on its way."""
    limit, state = connection.app.max_channels, connection.state
    # Those that are the server's own are few, and looked for only where the others might be too many.
    if not limit or connection.channel_count + state.joining_count < limit:
        return
    if state.full_at != limit:
        # Counted once: until it leaves one, it is in no fewer.
        taken = sum(not is_server_owned(channel.name) for channel in hub.channels_of(connection))
        if taken + sum(not is_server_owned(joined) for joined in state.joining()) < limit:
            return
        state.full_at = limit
    message = f"Cannot subscribe to more than {limit} channels on one connection"
    raise SubscriptionError(name, message, kind="LimitReached", status=CloseCode.OVER_CAPACITY)
