"""Names of the occupancy keys that Python reads itself; `lua/occupancy_common.lua` lists all of them.

App ids and channel names contain no `/`, except what follows `#server-to-user-`, which no member and no webhook uses.
"""

from __future__ import annotations

from engine.config.redis import TAG
from engine.protocol.channel import is_server_owned


class Keys:
    """:param prefix: what all keys of this cluster begin with."""

    def __init__(self, prefix: str) -> None:
        # One hash tag for all: the scripts change several keys at once, which a Redis Cluster allows in one slot only.
        self.base = prefix + TAG
        self.workers = f"{self.base}workers"
        self.purging = f"{self.base}purging"
        self.transitions = f"{self.base}transitions"

    def worker(self, incarnation: str) -> str:
        return f"{self.base}worker:{incarnation}"

    def worker_members(self, incarnation: str) -> str:
        return f"{self.base}worker-members:{incarnation}"

    def totals(self, app_id: str, channel: str = "") -> str:
        """Where the channel's subscriptions are counted; without a channel, where those of listed channels are."""
        return f"{self.base}{'internal' if is_server_owned(channel) else 'channels'}:{app_id}"

    def members(self, app_id: str, channel: str) -> str:
        return f"{self.base}members:{app_id}/{channel}"

    def presence_history(self, app_id: str, channel: str) -> tuple[str, str]:
        """Events and state of who came and went, as the scripts of histories take them."""
        place = fact(app_id, channel)
        return f"{self.base}presence_events:{place}", f"{self.base}presence_stream:{place}"


def fact(app_id: str, channel: str, user_id: str = "") -> str:
    """The name of one fact, as a field of a worker's hashes and of `pending`."""
    return f"{app_id}/{channel}/{user_id}" if user_id else f"{app_id}/{channel}"


def parse_fact(field: bytes) -> tuple[str, str] | None:
    """(app id, channel) of a subscription fact; None when it is none."""
    app_id, slash, channel = _text(field).partition("/")
    return (app_id, channel) if app_id and slash and channel else None


def parse_member_fact(field: bytes) -> tuple[str, str, str] | None:
    """(app id, channel, user id) of a member fact; None when it is none."""
    parts = _text(field).split("/", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts) else None


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ""
