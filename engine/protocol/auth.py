"""Signatures of subscriptions and sign-ins: the strings to sign, their checks, and the signed data they carry.

Checks with the app's prepared `Signer`; the comparison is in constant time. Never logs, never raises anything but
PusherError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine._fast import json_text
from engine.app import App
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol.channel import channel_kind, valid_user_id
from engine.protocol.json_values import compact_bytes, loads, signed, spelled, whole_number

#: Members of a JSON object, each value as it was spelled.
Members = dict[str, bytes]

#: Ids of a watchlist that count (U-13).
MAX_WATCHLIST = 100

_NO_AUTH = (
    "The client sent no auth: it has to get one from an endpoint of the application (pusher-js: channelAuthorization)."
)
_OTHER_KEY = "The endpoint that authorises clients signs with the key of another application."
_OTHER_SECRET = (
    "The endpoint that authorises clients signs with another secret, or something else than the client sent."
)

#: How deep a user_info may be nested.
MAX_DEPTH = 256

# Error texts repeat what the client sent, cut to this many characters.
_QUOTED = 200


@dataclass(frozen=True, slots=True)
class UserData:
    """What a sign-in says about its user (U-2).

    :param user_info: JSON text, "" when there was none.
    :param watchlist: distinct ids as given, possibly more than `MAX_WATCHLIST`.
    """

    id: str
    user_info: str
    watchlist: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """:param count: the newest so many events. :param seconds: those of the last so many.
    :param serial: those behind this place of the stream `stream_id`. :param time_ms: those published after it.
    """

    count: int | None = None
    seconds: int | None = None
    serial: int | None = None
    time_ms: int | None = None
    stream_id: str = ""


def verify_channel_auth(app: App, socket_id: str, channel: str, auth: str, channel_data: str | None) -> Members | None:
    """Check the `auth` of a private or presence subscription (N-8, N-9); the object in channel_data, if it covers one.
    Raises SubscriptionError, status 401.

    A private channel given channel_data is accepted with or without it in the signature: server libraries sign what
    the caller passes. Only the text of a JSON object counts: names may hold colons, and any other data could be what
    follows one of them in the name that the signature is for.
    """
    data = json_members(channel_data)
    plain = f"{socket_id}:{channel}"
    whole = plain if data is None else f"{plain}:{channel_data}"
    key, colon, signature = auth.partition(":")
    if not colon or key != app.key:
        remedy = _OTHER_KEY if auth else _NO_AUTH
        raise SubscriptionError(channel, f"Invalid key in subscription auth data: '{_cut(auth)}'", remedy=remedy)
    if app.signed(signed(whole), signature):
        return data
    if not channel_kind(channel).is_presence and app.signed(plain.encode(), signature):
        return None
    expected = f"Invalid signature: Expected HMAC SHA256 hex digest of {_cut(whole)}, but got {_cut(signature)}"
    raise SubscriptionError(channel, expected, remedy=_OTHER_SECRET)


def parse_channel_data(app: App, channel: str, data: Members | None) -> tuple[str, str]:
    """(user id, user_info as JSON text or "") of a presence subscription (N-18 to N-20). Raises SubscriptionError.

    A numeric id becomes the text that JavaScript prints for it (N-19). :param data: of `verify_channel_auth`.
    """
    if data is None:
        raise SubscriptionError(channel, "The channel_data of a presence channel must be a JSON object with a user_id")
    user_id = _user_id(data.get("user_id", b"null"))
    if not isinstance(user_id, str) or not valid_user_id(user_id):
        raise SubscriptionError(channel, "The user_id in channel_data must be a number or 1 to 200 characters")
    user_info = _info_text(data)
    if user_info is None:
        raise SubscriptionError(channel, "The user_info in channel_data is nested too deeply")
    limit = app.max_presence_member_bytes
    raw = data.get("user_info", b"")
    if limit and len(raw) > limit and compact_bytes(raw) > limit:
        message = f"The maximum size for a channel member is {limit / 1024:g} KB."
        raise SubscriptionError(channel, message, kind="LimitReached", status=CloseCode.CLIENT_EVENT_REJECTED)
    return user_id, user_info


def parse_replay(channel: str, data: Members) -> ReplayRequest | None:
    """What the application asks for its client in signed channel_data (N-42); None when it asks nothing. Raises
    SubscriptionError. :param data: of `verify_channel_auth`."""
    asked = _value(data.get("replay"))
    if asked is None:
        return None
    stream_id = asked.get("stream_id") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(stream_id, str | None):
        raise _wrong_replay(channel)
    numbers = {name: asked.get(name) for name in ("count", "seconds", "serial", "time_ms")}
    for name, value in numbers.items():
        least = 0 if name == "serial" else 1
        if value is not None and (type(value) is not int or not least <= value < 2**53):
            raise _wrong_replay(channel)
    if all(value is None for value in numbers.values()):
        raise _wrong_replay(channel)
    return ReplayRequest(**numbers, stream_id=stream_id or "")


def verify_signin(app: App, socket_id: str, auth: str, user_data: str) -> None:
    """Check the `auth` of a sign-in (U-1). Raises PusherError, which closes with 4009 as soketi does (U-4)."""
    key, _, signature = auth.partition(":")
    if key != app.key or not app.signed(signed(f"{socket_id}::user::{user_data}"), signature):
        raise PusherError(CloseCode.UNAUTHORIZED, "Connection not authorized.", remedy=_OTHER_SECRET)


def parse_user_data(user_data: str) -> UserData:
    """Read the user of a sign-in (U-2). Raises PusherError, which closes with 4009."""
    data = json_members(user_data)
    user_id = _value(data.get("id")) if data is not None else None
    if data is None or not isinstance(user_id, str) or not valid_user_id(user_id):
        raise PusherError(CloseCode.UNAUTHORIZED, 'The returned user data must contain the "id" field.')
    user_info = _info_text(data)
    if user_info is None:
        raise PusherError(CloseCode.UNAUTHORIZED, "The user_info in user_data is nested too deeply")
    listed = _value(data.get("watchlist"))
    ids = listed if isinstance(listed, list) else []
    watchlist = dict.fromkeys(watched for watched in ids if isinstance(watched, str) and valid_user_id(watched))
    return UserData(user_id, user_info, tuple(watchlist))


def json_members(text: str | None) -> Members | None:
    """None where the text is of no object."""
    if text is None:
        return None
    try:
        return json_text.members(spelled(text))
    except ValueError:
        return None


def _value(text: bytes | None) -> Any:
    """What a member says; None also where there is none, or where it is nested too deeply to be read."""
    if text is None:
        return None
    try:
        return loads(text)
    except ValueError:
        return None


def _user_id(text: bytes) -> str | None:
    """None where it is neither text nor a whole number."""
    value = _value(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return whole_number(text.decode())
    return value if isinstance(value, str) else None


def _info_text(data: Members) -> str | None:
    """`user_info` as it was spelled, "" without one; None when it is nested deeper than others can be told."""
    if "user_info" not in data:
        return ""
    try:
        json_text.members(data["user_info"], MAX_DEPTH)
    except ValueError:
        return None
    return data["user_info"].decode()


def _wrong_replay(channel: str) -> SubscriptionError:
    message = "The replay in channel_data takes whole numbers as count, seconds, serial with stream_id, or time_ms"
    return SubscriptionError(channel, message, kind="InvalidReplay", status=CloseCode.GENERIC)


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"
