"""The names of webhook events, for all who write or read one: configuration, store, scripts' replies and payloads.

Names only; what an event says is in `webhooks/event.py`.
"""

from __future__ import annotations

CHANNEL_OCCUPIED = "channel_occupied"
CHANNEL_VACATED = "channel_vacated"
MEMBER_ADDED = "member_added"
MEMBER_REMOVED = "member_removed"
CLIENT_EVENT = "client_event"
CACHE_MISS = "cache_miss"
CONNECTION_ESTABLISHED = "connection_established"
CONNECTION_TERMINATED = "connection_terminated"
SUBSCRIPTION_COUNT = "subscription_count"

#: What `event_types` of an endpoint may name (docs/protocol.md 6.2, W-9 to W-16).
EVENT_TYPES = (
    CHANNEL_OCCUPIED,
    CHANNEL_VACATED,
    MEMBER_ADDED,
    MEMBER_REMOVED,
    CLIENT_EVENT,
    CACHE_MISS,
    CONNECTION_ESTABLISHED,
    CONNECTION_TERMINATED,
    SUBSCRIPTION_COUNT,
)
#: Those that the store decides, as transitions.
TRANSITIONS = frozenset({CHANNEL_OCCUPIED, CHANNEL_VACATED, MEMBER_ADDED, MEMBER_REMOVED, SUBSCRIPTION_COUNT})
#: Those that may settle before they are emitted, and are cancelled by a return.
DEPARTURES = frozenset({CHANNEL_VACATED, MEMBER_REMOVED})
