"""Client events: from one subscriber of a private or presence channel to all others (docs/protocol.md 3).

The sender never gets its own event back. Most are sent by `_fast/client_event.pyx` and never come here.
"""

from __future__ import annotations

from engine._fast.client_event import count_event
from engine._fast.connection import Connection
from engine.app import App
from engine.config.event_types import CLIENT_EVENT
from engine.errors import CloseCode, PusherError
from engine.protocol.channel import channel_kind
from engine.protocol.json_values import compact_bytes
from engine.protocol.messages import ClientMessage
from engine.publisher import Publisher
from engine.webhooks.emitter import Emitter
from engine.ws.subscriptions import Subscriptions

_ENABLE = "`enable_client_messages` of the application allows it."


def only_sent(app: App) -> bool:
    """Whether its client events are sent to the others and not kept."""
    return app.client_messages and not app.history


def are_reported(app: App) -> bool:
    """Whether some endpoint of it may be told of them."""
    return any(CLIENT_EVENT in endpoint.event_types for endpoint in app.endpoints)


class ClientEvents:
    """Checks a client event against the rules of E-2 to E-8 and sends it on."""

    def __init__(self, subscriptions: Subscriptions, publisher: Publisher, emitter: Emitter) -> None:
        self._subscriptions = subscriptions
        self._publisher = publisher
        self._emitter = emitter

    def accept(self, connection: Connection, message: ClientMessage) -> None:
        """Raises PusherError, which leaves the connection open, when the event may not be sent."""
        app = connection.app
        channel = message.channel
        if not app.client_messages:
            raise _rejected("The app does not have client messaging enabled.", channel, _ENABLE)
        if channel is None or not channel_kind(channel).needs_auth:
            raise _rejected("Client events are allowed on private and presence channels only.", channel)
        if not self._subscriptions.is_in(connection, channel):
            raise PusherError(
                None, f"Cannot broadcast client event (connection not subscribed to channel {channel})", channel
            )
        if len(message.event) > app.max_event_name_length:
            raise _rejected(f"Event name is too long. Maximum allowed size is {app.max_event_name_length}.", channel)
        limit, data = app.max_event_bytes, message.data_json
        if len(data) > limit and compact_bytes(data) > limit:
            raise _rejected(f"The event data should be less than {limit // 1024} KB.", channel)
        # At most so many a second for each connection (E-8).
        per_second = app.max_client_events_per_second
        if per_second and not count_event(connection.state, per_second):
            raise _rejected("The rate limit for sending client events exceeded the quota.", channel)
        member = connection.state.member(channel)
        user_id = member.user_id if member else None
        self._publisher.client_event(app, channel, message.event, data, user_id, connection.socket_id)
        self._emitter.client_event(app, channel, message.event, data, connection.socket_id, user_id)


def _rejected(message: str, channel: str | None, remedy: str = "") -> PusherError:
    return PusherError(CloseCode.CLIENT_EVENT_REJECTED, message, channel, remedy=remedy)
