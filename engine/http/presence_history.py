"""Who came to a presence channel and who went, for back ends: pages, the stream's state, reset, and who was there at a
moment (H-75 to H-79).

The form of each answer is Sockudo's, word for word, with `time_ms` and `seq` of the webhooks beside it. Never decides
what a change is: the leader has.
"""

from __future__ import annotations

from typing import Any

from engine.app import App, Retention
from engine.history.presence import Moment, Snapshot, event_of, snapshot
from engine.http.auth import Access
from engine.http.history_parts import StreamHistory, is_broken
from engine.http.history_query import MAX_LIMIT, number
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import HistoryStore, Kept, OccupancyStore, PageQuery, Stream
from engine.protocol.channel import channel_kind


class PresenceHistory(StreamHistory):
    """Answers who came and went.

    :param store: of what the leader keeps. :param occupancy: says who is there now.
    """

    title, things, proven, subject = "Presence history", "events", "continuity_proven", "the presence of "

    def __init__(self, access: Access, store: HistoryStore, occupancy: OccupancyStore) -> None:
        super().__init__(access, store)
        self._occupancy = occupancy

    async def snapshot(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}/presence/history/snapshot: who was there at a moment."""
        app, retention = self._retention(request, app_id, channel)
        try:
            moment = Moment(number(request.query, "at_time_ms", "at"), number(request.query, "at_serial"))
        except ValueError as problem:
            raise invalid(str(problem)) from None
        headers = await self._access.count_read(app)
        # First who is there now: whoever comes in between is in the events that are read afterwards, and is not taken
        # for somebody who has been there all the time.
        now = await self._occupancy.members(app.id, channel)
        stream, events = await self._all(app, channel, retention)
        covered = moment.is_covered(stream)
        continuity = {
            "complete": covered and not is_broken(stream, retention),
            "truncated_by_retention": stream.first > 1 and not covered,
        }
        answer = _snapshot_body(channel, snapshot(events, now, moment)) | {
            "continuity": self._retained(stream) | continuity,
        }
        return ok(answer, headers)

    async def _all(self, app: App, channel: str, retention: Retention) -> tuple[Stream, list[Kept]]:
        """Everything that is kept, oldest first; a stream that begins anew meanwhile is the one that counts."""
        events: list[Kept] = []
        stream_id = ""
        while True:
            after = events[-1].serial if events else None
            found = await self._store.page(app.id, channel, retention, PageQuery(MAX_LIMIT, False, after=after))
            if after is not None and found.stream.id != stream_id:
                events.clear()
                continue
            stream_id = found.stream.id
            events += found.items
            if not found.has_more:
                return found.stream, events

    def _retention_of(self, app: App, channel: str) -> Retention | None:
        if not channel_kind(channel).is_presence:
            raise invalid("Only presence channels support this endpoint")
        return app.presence_retention(channel)

    def _doubts(self, broken: bool) -> dict[str, Any]:
        return {"degraded": broken}

    def _item(self, stream: Stream, kept: Kept) -> dict[str, Any] | None:
        event = event_of(kept)
        if event is None:
            return None
        place = {"stream_id": stream.id, "serial": kept.serial, "published_at_ms": kept.time_ms}
        shown = ("event", "cause", "user_id", "connection_id", "dead_node_id", "time_ms", "seq")
        return (
            place
            | {name: event.get(name) for name in shown}
            | {"payload_size_bytes": len(kept.payload), "presence_event": place | event}
        )


def _snapshot_body(channel: str, found: Snapshot) -> dict[str, Any]:
    return {
        "channel": channel,
        "members": [
            {
                "user_id": member.user_id,
                "last_event": "member_added",
                "last_event_serial": None if member.came is None else member.came.serial,
                "last_event_at_ms": None if member.came is None else member.came.time_ms,
            }
            for member in found.members
        ],
        "member_count": len(found.members),
        "events_replayed": found.counted,
        "snapshot_serial": None if found.last is None else found.last.serial,
        "snapshot_time_ms": None if found.last is None else found.last.time_ms,
    }
