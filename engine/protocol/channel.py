"""What a channel's name says: its kind, and whether it may be used at all.

Pure, and the only place of the prefixes. It runs for every subscription, client event and publish, so everything here
is a slice, or looked up in C.
"""

from __future__ import annotations

import re
from enum import Enum

from engine._fast.channel_name import Prefixes, is_allowed

#: Socket ids, as every official server library checks them (C-14).
SOCKET_ID = re.compile(r"[0-9]{1,64}\.[0-9]{1,64}\Z")

#: The channel of one signed-in user begins so (U-8).
USER_PREFIX = "#server-to-user-"

#: Workers that must know whether a user is online listen here for it; nobody can subscribe to it (U-14).
WATCH_PREFIX = "#watch-"

#: Every connection of an app holds a subscription to this server-owned channel: how a quota is counted cluster-wide.
CONNECTIONS = "#connections"

#: Client libraries refuse longer user ids, as they refuse longer channel names.
MAX_USER_ID_LENGTH = 200

#: Event names that begin so are the server's own (N-39, D-15).
RESERVED_PREFIXES = ("pusher:", "pusher_internal:")


class ChannelKind(Enum):
    """The type that follows from the prefix alone (N-1).

    :ivar needs_auth: a subscription must be signed by the application.
    :ivar is_presence: subscribers are members. :ivar is_cache: the last event is remembered.
    :ivar label: as metrics name it.
    :ivar base: public, private, presence, or user for a signed-in user's own channel.
    :ivar types: each `Filter.channel_type` under which it counts: cache and encrypted forms also by their base (D-2).
    """

    PUBLIC = ""
    PUBLIC_CACHE = "cache-"
    PRIVATE = "private-"
    PRIVATE_CACHE = "private-cache-"
    ENCRYPTED = "private-encrypted-"
    ENCRYPTED_CACHE = "private-encrypted-cache-"
    PRESENCE = "presence-"
    PRESENCE_CACHE = "presence-cache-"
    USER = USER_PREFIX

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.label = self._name_.lower()
        self.is_presence = prefix.startswith("presence-")
        self.needs_auth = self.is_presence or prefix.startswith("private-")
        self.is_cache = prefix.endswith("cache-")
        self.base = (
            "user"
            if prefix == USER_PREFIX
            else "presence"
            if self.is_presence
            else "private"
            if self.needs_auth
            else "public"
        )
        encrypted = {"encrypted"} if prefix.startswith("private-encrypted-") else set()
        self.types = frozenset({self.base, *encrypted, *({"cache"} if self.is_cache else ())})


def channel_kind(name: str) -> ChannelKind:
    """The kind of a channel. `my-cache-room` and `privateer` are public: a prefix counts at the start only (N-2)."""
    return _KINDS.of(name)


def valid_channel_name(name: str, max_length: int) -> bool:
    """Whether clients may subscribe to it and back ends publish to it (N-3, N-4, D-9).

    :param max_length: characters, prefix included. Server-owned names (`#...`) are never valid here, see `user_of`.
    """
    return len(name) <= max_length and is_allowed(name)


def is_server_owned(name: str) -> bool:
    """Whether only the server may subscribe to it and publish there (U-10): in no list, and without webhooks."""
    return name.startswith("#")


def user_channel(user_id: str) -> str:
    """The channel of a signed-in user's own messages (U-8)."""
    return USER_PREFIX + user_id


def watch_channel(user_id: str) -> str:
    """Where the user's coming and going is announced to the workers of its watchers."""
    return WATCH_PREFIX + user_id


def user_of(name: str) -> str | None:
    """The user whose own channel this is; None for any other channel and for an id that no user can have."""
    if not name.startswith(USER_PREFIX):
        return None
    user_id = name[len(USER_PREFIX) :]
    return user_id if valid_user_id(user_id) else None


def valid_user_id(user_id: str) -> bool:
    """Whether it can be the id of a member or user: any text without control characters or lone surrogates (N-5)."""
    return 0 < len(user_id) <= MAX_USER_ID_LENGTH and _UNUSABLE.search(user_id) is None


_KINDS = Prefixes({kind.value: kind for kind in ChannelKind if kind.value}, ChannelKind.PUBLIC)
_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
