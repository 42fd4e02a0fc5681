"""Who came to a presence channel and who went, as it is kept; and who was there at a moment, by what is kept.

Pure: asks no store and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from engine.config.event_types import MEMBER_ADDED
from engine.interfaces import Kept, Stream, Transition


def payload_of(transition: Transition) -> bytes:
    """What is kept of a member_added or member_removed (H-76)."""
    added = transition.name == MEMBER_ADDED
    # A connection that is not known is one whose worker died.
    cause = "join" if added else "disconnect" if transition.socket_id else "orphan_cleanup"
    return orjson.dumps(
        {
            "event": transition.name,
            "cause": cause,
            "user_id": transition.user_id,
            "connection_id": transition.socket_id or None,
            "user_info": _user_info(transition.data) if added else None,
            "dead_node_id": None,
            "time_ms": transition.time_ms,
            "seq": transition.seq,
        }
    )


def event_of(kept: Kept) -> dict[str, Any] | None:
    """What `payload_of` kept; None when it is something else."""
    try:
        event = orjson.loads(kept.payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict):
        return None
    texts = all(isinstance(event.get(name), str) for name in ("event", "user_id"))
    return event if texts and isinstance(event.get("time_ms"), int) else None


@dataclass(frozen=True, slots=True)
class Moment:
    """Up to where changes count; without either bound, all do.

    :param time_ms: those that happened up to then. :param serial: those up to that place.
    """

    time_ms: int | None = None
    serial: int | None = None

    def includes(self, kept: Kept, event: Mapping[str, Any]) -> bool:
        if self.time_ms is not None and event["time_ms"] > self.time_ms:
            return False
        return self.serial is None or kept.serial <= self.serial

    def is_covered(self, stream: Stream) -> bool:
        """Whether every change behind it is kept, so that who was there is known; if the stream is not broken."""
        if self.serial is not None and self.serial + 1 < stream.first:
            return False
        if self.time_ms is None:
            return True
        # Before the first change of a stream nothing was kept, and nobody knows for how long.
        known_from_ms = stream.first_ms if stream.first == 1 and stream.count else stream.gone_ms
        return bool(known_from_ms) and self.time_ms >= max(known_from_ms, stream.broken_ms)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who was there. :param came: the event by which it came; None when that is not kept."""

    user_id: str
    came: Kept | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """:param last: the newest event that counts. :param counted: how many do."""

    members: tuple[Member, ...]
    last: Kept | None
    counted: int


def snapshot(events: Iterable[Kept], now: Iterable[str], moment: Moment) -> Snapshot:
    """Who was there at a moment.

    What is kept up to then says it of most. Of anybody else the first event behind it does: who went later was there.
    And who has no event at all has been there all the time, if that user is there now.

    :param events: all that is kept, oldest first. :param now: users who are there now.
    """
    there: dict[str, Member] = {}
    gone: set[str] = set()
    last, counted = None, 0
    for kept in events:
        event = event_of(kept)
        if event is None:
            continue
        user, came = event["user_id"], event["event"] == MEMBER_ADDED
        if moment.includes(kept, event):
            last, counted = kept, counted + 1
            there.pop(user, None)
            gone.discard(user)
            if came:
                there[user] = Member(user, kept)
            else:
                gone.add(user)
        elif user not in there and user not in gone:
            if came:
                gone.add(user)
            else:
                there[user] = Member(user)
    for user in now:
        if user not in there and user not in gone:
            there[user] = Member(user)
    return Snapshot(tuple(sorted(there.values(), key=lambda member: member.user_id)), last, counted)


def _user_info(data: str) -> Any:
    """Of channel_data, which was checked when it came; None where there is none."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found.get("user_info") if isinstance(found, dict) else None
