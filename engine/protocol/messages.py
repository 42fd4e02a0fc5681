"""Every JSON message of the WebSocket, both ways: the server's built as bytes, the client's parsed.

Puts nothing into frames. Knows no socket, no clock, no state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from engine._fast import json_text
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol.channel import channel_kind
from engine.protocol.json_values import dumps, loads

PUSHER_PING = "pusher:ping"
PUSHER_PONG = "pusher:pong"
PUSHER_SUBSCRIBE = "pusher:subscribe"
PUSHER_UNSUBSCRIBE = "pusher:unsubscribe"
PUSHER_SIGNIN = "pusher:signin"

#: Client events begin so (E-1).
CLIENT_PREFIX = "client-"

#: How deep what one client sends to others may be nested.
MAX_DEPTH = 256

#: Above so many subscriptions to a channel their number is sent at most once in so long (N-36).
COUNT_AT_ONCE = 100
COUNT_EVERY_S = 5

#: Client libraries need `data` in these too, and as a string (C-18, C-19).
PING = b'{"event":"pusher:ping","data":"{}"}'
PONG = b'{"event":"pusher:pong","data":"{}"}'

#: Sent to every connection, so not made anew for each: a socket id is digits and a dot, which JSON leaves as they are.
_ESTABLISHED = rb'{"event":"pusher:connection_established","data":"{\"socket_id\":\"%b\",\"activity_timeout\":%d}"}'


# --- from the server


def connection_established(socket_id: str, activity_timeout_s: int) -> bytes:
    """The first message of a connection (C-10); `data` must be a string (C-11)."""
    return _ESTABLISHED % (socket_id.encode(), activity_timeout_s)


def error(code: int | None, message: str, channel: str | None = None) -> bytes:
    """pusher:error (C-24). `data` is an object, since .NET drops a string; `code` a number or null, for Java."""
    body: dict[str, Any] = {"event": "pusher:error", "data": {"code": code, "message": message}}
    if channel is not None:
        body["channel"] = channel
    return dumps(body)


def subscription_succeeded(channel: str) -> bytes:
    """For every channel but presence (N-10). Java decrypts any other `data` on encrypted channels (N-33)."""
    return b'{"event":"pusher_internal:subscription_succeeded","channel":' + orjson.dumps(channel) + b',"data":"{}"}'


def presence_succeeded(channel: str, roster: Mapping[str, str]) -> bytes:
    """For presence channels: who is there, the subscriber included (N-11).

    :param roster: user id -> user_info as JSON text; "" where there is none, which is sent as ``{}``: the key must
        be there for Swift, and a handler that reads ``info.name`` fails on null but not on an empty object.
    """
    hash_ = {user_id: _info(user_info) for user_id, user_info in roster.items()}
    data = _text({"presence": {"ids": list(roster), "hash": hash_, "count": len(roster)}})
    return orjson.dumps({"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": data})


def subscription_error(error: SubscriptionError) -> bytes:
    """A refused subscription, in the shape that pusher-js and Echo hand to the application (N-15, N-16)."""
    data = {"type": error.kind, "error": error.message, "status": int(error.status)}
    return dumps({"event": "pusher:subscription_error", "channel": error.channel, "data": data})


def member_added(channel: str, user_id: str, user_info: str) -> bytes:
    """:param user_info: JSON text, or "" as in `presence_succeeded` (N-21)."""
    data = _text({"user_id": user_id, "user_info": _info(user_info)})
    return orjson.dumps({"event": "pusher_internal:member_added", "channel": channel, "data": data})


def member_removed(channel: str, user_id: str) -> bytes:
    data = _text({"user_id": user_id})
    return orjson.dumps({"event": "pusher_internal:member_removed", "channel": channel, "data": data})


def cache_miss(channel: str) -> bytes:
    """A cache channel without a last event (N-30)."""
    return orjson.dumps({"event": "pusher:cache_miss", "channel": channel, "data": "{}"})


def history_gap(channel: str, gap: dict[str, object]) -> bytes:
    """Something that was published is not among what is replayed (N-44); on encrypted channels no more than that, as in
    N-33."""
    data = "{}" if "encrypted" in channel_kind(channel).types else orjson.dumps(gap).decode()
    return orjson.dumps({"event": "pusher:history_gap", "channel": channel, "data": data})


def signin_success(user_data: str) -> bytes:
    """:param user_data: the string as received (U-3)."""
    return dumps({"event": "pusher:signin_success", "data": {"user_data": user_data}})


def subscription_count(channel: str, count: int) -> bytes:
    """Under the name that libraries know, not the documented one (N-36, N-37)."""
    data = _text({"subscription_count": count})
    return orjson.dumps({"event": "pusher_internal:subscription_count", "channel": channel, "data": data})


def watchlist_events(online: Sequence[str], offline: Sequence[str]) -> bytes:
    """Watched users who came or went; at least one list is not empty (U-15)."""
    lists = (("online", online), ("offline", offline))
    data = _text({"events": [{"name": name, "user_ids": list(ids)} for name, ids in lists if ids]})
    return orjson.dumps({"event": "pusher_internal:watchlist_events", "data": data})


def channel_event(event: str, channel: str, data: str) -> bytes:
    """An event published over HTTP; `data` arrives exactly as it was given (C-18, N-38)."""
    prefix, suffix = channel_event_parts(event, data)
    return prefix + dumps(channel) + suffix


def channel_event_parts(event: str, data: str) -> tuple[bytes, bytes]:
    """What stands before and after the channel's JSON string, for one event that goes to many channels."""
    return spelled_event_parts(dumps(event), dumps(data))


def spelled_event_parts(event_json: bytes, data_json: bytes) -> tuple[bytes, bytes]:
    """The same for an event whose name and data are JSON strings already."""
    return b'{"event":' + event_json + b',"channel":', b',"data":' + data_json + b"}"


def client_event(event: str, channel: str, data_json: bytes, user_id: str | None) -> bytes:
    """An event of another client (E-4). :param user_id: the sender's, on presence channels only (E-9)."""
    suffix = b"}" if user_id is None else b',"user_id":' + orjson.dumps(user_id) + b"}"
    return b"".join((b'{"event":', dumps(event), b',"channel":', orjson.dumps(channel), b',"data":', data_json, suffix))


def channel_data(user_id: str, user_info: str) -> str:
    """The channel_data that a signed-in connection would have sent for itself (N-18)."""
    data: dict[str, Any] = {"user_id": user_id}
    if user_info:
        data["user_info"] = orjson.Fragment(user_info)
    return _text(data)


def _info(user_info: str) -> orjson.Fragment:
    return orjson.Fragment(user_info or "{}")


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


# --- from the client


class ClientMessage(NamedTuple):
    """One message of a client.

    :param data: the JSON value; None also when there was none.
    :param data_json: of a client event, `data` as it was spelled.
    """

    event: str
    channel: str | None
    data: Any
    data_json: bytes = b""


class SubscribeRequest(NamedTuple):
    """:param auth: "" when there was none. :param channel_data: None when there was none."""

    channel: str
    auth: str
    channel_data: str | None


class SigninRequest(NamedTuple):
    auth: str
    user_data: str


def parse(payload: bytes) -> ClientMessage:
    """Read one message of a client (C-16). Raises PusherError, which leaves the connection open (C-17, C-30)."""
    body = _object(payload)
    event = body.get("event")
    channel = body.get("channel")
    data = body.get("data")
    if not isinstance(event, str) or not event:
        raise _invalid("The message has no event name")
    if channel is not None and not isinstance(channel, str):
        raise _invalid("The message's channel is not a string")
    if not event.startswith(CLIENT_PREFIX):
        return ClientMessage(event, channel, data)
    try:
        members = json_text.members(payload, MAX_DEPTH) or {}
    except ValueError as problem:
        raise _invalid("The message's data is nested too deeply") from problem
    return ClientMessage(event, channel, data, members.get("data", b"null"))


def subscribe_request(message: ClientMessage) -> SubscribeRequest:
    """Read pusher:subscribe (N-7). Raises PusherError."""
    data = _data(message)
    auth = (_optional(data, "auth") or "") if "auth" in data else ""
    channel_data = (_optional(data, "channel_data") or None) if "channel_data" in data else None
    return SubscribeRequest(_required(data, "channel"), auth, channel_data)


def unsubscribe_channel(message: ClientMessage) -> str:
    """Read pusher:unsubscribe (N-24). Raises PusherError."""
    return _required(_data(message), "channel")


def signin_request(message: ClientMessage) -> SigninRequest:
    """Read pusher:signin (U-1). Raises PusherError."""
    data = _data(message)
    return SigninRequest(_required(data, "auth"), _required(data, "user_data"))


def _data(message: ClientMessage) -> dict[str, Any]:
    """`data` as an object; some clients encode it as a string (C-18)."""
    data = message.data
    if isinstance(data, dict):
        return data
    if isinstance(data, str):
        return _object(data)
    raise _invalid(f"The data of {message.event} is not an object")


def _object(text: bytes | str) -> dict[str, Any]:
    try:
        value = loads(text)
    except ValueError as problem:
        raise _invalid("The message is not valid JSON") from problem
    if not isinstance(value, dict):
        raise _invalid("The message is not a JSON object")
    return value


def _required(data: dict[str, Any], name: str) -> str:
    value = _optional(data, name)
    if not value:
        raise _invalid(f"The message's data has no {name}")
    return value


def _optional(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"The message's {name} is not a string")
    return value


def _invalid(message: str) -> PusherError:
    return PusherError(CloseCode.GENERIC, message)
