"""Which endpoints want which events: event types and filters of W-22, read as D-2 decides.

Called on every subscription (`may_want`), so it must stay cheap for an app without endpoints; and per event and
endpoint when jobs are made (`wants`). Pure.
"""

from __future__ import annotations

from engine.app import App, Endpoint, Filter
from engine.config.event_types import (
    CHANNEL_OCCUPIED,
    CHANNEL_VACATED,
    MEMBER_ADDED,
    MEMBER_REMOVED,
    SUBSCRIPTION_COUNT,
)
from engine.protocol.channel import is_server_owned

#: For `may_want`: the events that a subscription or its end can cause.
OCCUPANCY_EVENTS = frozenset({CHANNEL_OCCUPIED, CHANNEL_VACATED})
MEMBER_EVENTS = frozenset({MEMBER_ADDED, MEMBER_REMOVED})
COUNT_EVENTS = frozenset({SUBSCRIPTION_COUNT})

#: Values of `Filter.channel_type`.
CHANNEL_TYPES = ("public", "private", "presence", "encrypted", "cache")

# N-1: longest prefix first, matched at the start only.
_KINDS = (
    ("private-encrypted-cache-", frozenset({"private", "encrypted", "cache"})),
    ("private-encrypted-", frozenset({"private", "encrypted"})),
    ("private-cache-", frozenset({"private", "cache"})),
    ("private-", frozenset({"private"})),
    ("presence-cache-", frozenset({"presence", "cache"})),
    ("presence-", frozenset({"presence"})),
    ("cache-", frozenset({"public", "cache"})),
    ("", frozenset({"public"})),
)
# What a type's names begin with when the channel's own, longer prefix is left aside.
_TYPE_PREFIX = {"private": "private-", "presence": "presence-", "encrypted": "private-encrypted-"}


def may_want(app: App, names: frozenset[str], channel: str) -> bool:
    """Whether some endpoint of the app may want one of these events of the channel.

    Server-owned channels (`#...`) fire no webhooks (U-10).
    """
    if not app.endpoints or is_server_owned(channel):
        return False
    return any(
        not names.isdisjoint(endpoint.event_types) and _passes(endpoint.filter, channel) for endpoint in app.endpoints
    )


def wants(endpoint: Endpoint, name: str, channel: str, client_event: str = "") -> bool:
    """Whether the endpoint wants this event.

    :param channel: "" passes only an endpoint without any channel filter.
    :param client_event: the client's own event name; `Filter.event_prefix` speaks about client events only.
    """
    if name not in endpoint.event_types or is_server_owned(channel):
        return False
    prefix = endpoint.filter.event_prefix
    if prefix is not None and client_event and not client_event.startswith(prefix):
        return False
    return _passes(endpoint.filter, channel)


def channel_types(channel: str) -> frozenset[str]:
    """Every `channel_type` under which the channel counts: cache and encrypted forms also by their base type (D-2)."""
    return _kind(channel)[1]


def _passes(rule: Filter, channel: str) -> bool:
    if rule.channel_type is not None:
        kind_prefix, types = _kind(channel)
        if not channel or rule.channel_type not in types:
            return False
        if rule.channel_prefix is not None and not _typed_prefix(rule, channel, kind_prefix):
            return False
    elif rule.channel_prefix is not None and not channel.startswith(rule.channel_prefix):
        return False
    if rule.channel_suffix is not None and not channel.endswith(rule.channel_suffix):
        return False
    if rule.channel_namespaces is not None and _namespace(channel) not in rule.channel_namespaces:
        return False
    return rule.channel_pattern is None or (channel != "" and rule.channel_pattern.search(channel) is not None)


def _typed_prefix(rule: Filter, channel: str, kind_prefix: str) -> bool:
    """With a type given, the prefix may also stand after the type's own prefix (D-2)."""
    assert rule.channel_prefix is not None and rule.channel_type is not None
    type_prefix = _TYPE_PREFIX.get(rule.channel_type, kind_prefix)
    return any(channel.startswith(rule.channel_prefix, start) for start in (0, len(type_prefix), len(kind_prefix)))


def _namespace(channel: str) -> str:
    """What stands between the channel's type and the first colon; "", which is none, without a colon."""
    namespace, colon, _ = channel[len(_kind(channel)[0]) :].partition(":")
    return namespace if colon else ""


def _kind(channel: str) -> tuple[str, frozenset[str]]:
    return next(kind for kind in _KINDS if channel.startswith(kind[0]))
