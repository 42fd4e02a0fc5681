"""One webhook event, built and serialized with exactly the documented fields in the documented order.

Pure: never looks at a clock, an endpoint or a configuration.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.config.event_types import (
    CACHE_MISS,
    CLIENT_EVENT,
    CONNECTION_ESTABLISHED,
    CONNECTION_TERMINATED,
    MEMBER_ADDED,
    MEMBER_REMOVED,
    SUBSCRIPTION_COUNT,
)
from engine.interfaces import Transition
from engine.protocol.json_values import dumps


class WebhookEvent(NamedTuple):
    """An event on its way to the endpoints that want it.

    :param channel: "" for connection events, which no channel filter lets pass.
    :param payload: its JSON object as it stands in the body's ``events`` (UTF-8).
    :param order: events with the same order key reach an endpoint in the order in which they were made: the
        channel, or the socket where there is no channel.
    :param client_event: the name that the client gave its event, for `Filter.event_prefix`.
    :param trace: the `traceparent` of the span that it belongs to; "" without one.
    """

    app_id: str
    name: str
    channel: str
    payload: bytes
    order: str
    client_event: str = ""
    trace: str = ""


def from_transition(transition: Transition) -> WebhookEvent:
    """channel_occupied or _vacated, member_added or _removed, subscription_count (W-9 to W-12, W-15, D-8)."""
    t = transition
    fields: dict[str, Any] = {"name": t.name, "channel": t.channel}
    if t.name == SUBSCRIPTION_COUNT:
        fields["subscription_count"] = int(t.data)
    if t.name in (MEMBER_ADDED, MEMBER_REMOVED):
        fields["user_id"] = t.user_id
        fields["socket_id"] = t.socket_id
        if t.name == MEMBER_ADDED:
            fields["data"] = t.data
    fields["time_ms"] = t.time_ms
    fields["seq"] = t.seq
    return WebhookEvent(t.app_id, t.name, t.channel, dumps(fields), t.channel)


def client_event(
    app_id: str, channel: str, event: str, data: str, socket_id: str, user_id: str | None, time_ms: int
) -> WebhookEvent:
    """An accepted client event (W-13, D-7).

    :param data: the text that the client sent, or the JSON text of any other value.
    :param user_id: the sender's, on presence channels; None leaves the member out.
    """
    fields: dict[str, Any] = {"name": CLIENT_EVENT, "channel": channel, "event": event, "data": data}
    fields["socket_id"] = socket_id
    if user_id is not None:
        fields["user_id"] = user_id
    fields["time_ms"] = time_ms
    return WebhookEvent(app_id, CLIENT_EVENT, channel, dumps(fields), channel, event)


def cache_miss(app_id: str, channel: str, time_ms: int) -> WebhookEvent:
    """Someone subscribed to a cache channel that remembers nothing (W-14)."""
    fields = {"name": CACHE_MISS, "channel": channel, "time_ms": time_ms}
    return WebhookEvent(app_id, CACHE_MISS, channel, dumps(fields), channel)


def connection_established(app_id: str, socket_id: str, time_ms: int, address: str | None = None) -> WebhookEvent:
    """A connection was accepted (W-16, D-6). :param address: the client's; None leaves the member out."""
    fields: dict[str, Any] = {"name": CONNECTION_ESTABLISHED, "channel": "", "socket_id": socket_id}
    if address is not None:
        fields["address"] = address
    fields["time_ms"] = time_ms
    return WebhookEvent(app_id, CONNECTION_ESTABLISHED, "", dumps(fields), _socket_order(socket_id))


def connection_terminated(
    app_id: str, socket_id: str, code: int, time_ms: int, user_id: str | None = None
) -> WebhookEvent:
    """A connection has ended (W-16, D-6).

    :param code: WebSocket close code; sent as a string, because .NET reads strings only (W-7).
    :param user_id: of a signed-in connection.
    """
    fields: dict[str, Any] = {"name": CONNECTION_TERMINATED, "channel": "", "socket_id": socket_id}
    if user_id is not None:
        fields["user_id"] = user_id
    fields["reason"] = str(code)
    fields["time_ms"] = time_ms
    return WebhookEvent(app_id, CONNECTION_TERMINATED, "", dumps(fields), _socket_order(socket_id))


def _socket_order(socket_id: str) -> str:
    # No channel name holds a blank, so this is never mistaken for one.
    return f"socket {socket_id}"
