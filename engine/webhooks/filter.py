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
from engine.protocol.channel import ChannelKind, channel_kind, is_server_owned

#: For `may_want`: the events that a subscription or its end can cause.
OCCUPANCY_EVENTS = frozenset({CHANNEL_OCCUPIED, CHANNEL_VACATED})
MEMBER_EVENTS = frozenset({MEMBER_ADDED, MEMBER_REMOVED})
COUNT_EVENTS = frozenset({SUBSCRIPTION_COUNT})

# What a type's names begin with when the channel's own, longer prefix is left aside.
_TYPE_PREFIX = {
    "private": ChannelKind.PRIVATE.prefix,
    "presence": ChannelKind.PRESENCE.prefix,
    "encrypted": ChannelKind.ENCRYPTED.prefix,
}


def may_want(app: App, names: frozenset[str], channel: str) -> bool:
    """Whether some endpoint of the app may want one of these events of the channel.

    Server-owned channels (`#...`) fire no webhooks (U-10).
    """
    if not app.endpoints or is_server_owned(channel):
        return False
    for endpoint in app.endpoints:
        if not names.isdisjoint(endpoint.event_types) and _passes(endpoint.filter, channel):
            return True
    return False


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


def _passes(rule: Filter, channel: str) -> bool:
    if rule.any_channel:
        return True
    if rule.channel_type is not None:
        kind = channel_kind(channel)
        if not channel or rule.channel_type not in kind.types:
            return False
        if rule.channel_prefix is not None and not _typed_prefix(rule, channel, kind.prefix):
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
    namespace, colon, _ = channel[len(channel_kind(channel).prefix) :].partition(":")
    return namespace if colon else ""
