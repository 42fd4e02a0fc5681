"""Who came to a presence channel and who went, for back ends: pages, the stream's state, reset, and who was there at a
moment (H-75 to H-79).

The form of each answer is Sockudo's, word for word, with `time_ms` and `seq` of the webhooks beside it. Never decides
what a change is: the leader has.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from engine.app import App, Retention
from engine.errors import ApiError
from engine.history.presence import Moment, Snapshot, event_of, snapshot
from engine.http.auth import Access
from engine.http.history_parts import (
    confirmed,
    done,
    is_broken,
    is_truncated,
    next_cursor,
    note,
    retained,
    stream_state,
)
from engine.http.history_query import MAX_LIMIT, direction_of, number, page_query
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import HistoryStore, Kept, OccupancyStore, PageQuery, Stream
from engine.protocol.channel import channel_kind, valid_channel_name

_log = logging.getLogger(__name__)


class PresenceHistory:
    """Answers who came and went.

    :param store: of what the leader keeps. :param occupancy: says who is there now.
    """

    def __init__(self, access: Access, store: HistoryStore, occupancy: OccupancyStore) -> None:
        self._access = access
        self._store = store
        self._occupancy = occupancy

    async def page(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}/presence/history."""
        app, retention = self._retention(request, app_id, channel)
        try:
            query, cursor_stream = page_query(app.id, channel, request.query)
        except ValueError as problem:
            raise invalid(str(problem)) from None
        headers = await self._access.count_read(app)
        found = await self._store.page(app.id, channel, retention, query)
        stream = found.stream
        cursor = next_cursor(app, channel, query, cursor_stream, found)
        broken, truncated = is_broken(stream, retention), is_truncated(query.bounds, stream)
        continuity = {
            "degraded": broken,
            "complete": not found.has_more and not truncated and not broken,
            "truncated_by_retention": truncated,
        }
        answer = {
            "items": [item for each in found.items if (item := _item(stream, each)) is not None],
            "direction": direction_of(query),
            "limit": query.limit,
            "has_more": found.has_more,
            "next_cursor": cursor,
            "bounds": query.bounds,
            "continuity": retained(stream, "events") | continuity,
            "stream_state": self._state(stream, retention),
        }
        return ok(answer, headers)

    async def state(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}/presence/history/state."""
        app, retention = self._retention(request, app_id, channel)
        headers = await self._access.count_read(app)
        stream = await self._store.inspect(app.id, channel, retention)
        return ok({"channel": channel, "stream": self._inspection(stream, retention)}, headers)

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
        answer = _told(channel, snapshot(events, now, moment)) | {
            "continuity": retained(stream, "events") | continuity,
        }
        return ok(answer, headers)

    async def reset(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """POST /apps/{id}/channels/{channel}/presence/history/reset: forget everything and begin another stream."""
        app, retention = self._retention(request, app_id, channel)
        body = confirmed(request, channel, "reset")
        headers = await self._access.count_read(app)
        gone = await self._store.reset(app.id, channel, retention)
        note(_log, "reset", app, f"the presence of {channel}", body)
        answer = done("reset", channel, body) | {
            "previous_stream_id": gone.before or None,
            "new_stream_id": gone.stream.id,
            "purged_events": gone.count,
            "purged_bytes": gone.bytes,
            "stream": self._inspection(gone.stream, retention),
        }
        return ok(answer, headers)

    def _retention(self, request: ApiRequest, app_id: str, channel: str) -> tuple[App, Retention]:
        app = self._access.app(request, app_id)
        if not valid_channel_name(channel, app.max_channel_name_length):
            raise invalid("The channel name is not valid")
        if not channel_kind(channel).is_presence:
            raise invalid("Only presence channels support this endpoint")
        retention = app.presence_retention(channel)
        if retention is None:
            message = f"Presence history is disabled by policy for channel '{channel}'"
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "feature_disabled", message)
        return app, retention

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

    def _inspection(self, stream: Stream, retention: Retention) -> dict[str, Any]:
        return {
            "stream_id": stream.id or None,
            "next_serial": stream.serial + 1 if stream.id else None,
            "retained": retained(stream, "events"),
            "state": self._state(stream, retention),
        }

    def _state(self, stream: Stream, retention: Retention) -> dict[str, Any]:
        return stream_state(stream, retention, self._store.name, "continuity_proven")


def _item(stream: Stream, kept: Kept) -> dict[str, Any] | None:
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


def _told(channel: str, found: Snapshot) -> dict[str, Any]:
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
