"""What the histories of events and of members share at the API: pages, the stream's state and reset, in one form, and
what a request that removes something must say.

Never reads what is in an item.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import Any, ClassVar

import orjson

from engine.app import App, Retention
from engine.errors import ApiError
from engine.http.auth import Access
from engine.http.history_query import cursor_of, direction_of, encoded, page_query
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import Bounds, HistoryStore, Kept, Page, PageQuery, Purged, Stream
from engine.protocol.channel import valid_channel_name

_BROKEN = "Redis was replaced or started again: events around that moment may be missing"


class StreamHistory(ABC):
    """Answers what is kept of a channel in one stream, word for word as Sockudo does.

    :cvar title: of the feature, in errors. :cvar things: as the number of items is called: messages or events.
    :cvar proven: what the member is called that says whether nothing is missing.
    :cvar subject: stands in front of the channel's name in the log.
    """

    title: ClassVar[str]
    things: ClassVar[str]
    proven: ClassVar[str]
    subject: ClassVar[str] = ""

    def __init__(self, access: Access, store: HistoryStore) -> None:
        self._access = access
        self._store = store
        self._log = logging.getLogger(type(self).__module__)

    @abstractmethod
    def _retention_of(self, app: App, channel: str) -> Retention | None:
        """How much is kept; None where no rule says so. Raises ApiError for a channel that cannot have any."""

    @abstractmethod
    def _item(self, stream: Stream, kept: Kept) -> dict[str, Any] | None:
        """None for one that cannot be read."""

    def _doubts(self, broken: bool) -> dict[str, Any]:
        """What stands in front of the other words about what is missing."""
        return {}

    async def page(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET the items, a page of them."""
        app, retention = self._retention(request, app_id, channel)
        try:
            query, cursor_stream = page_query(app.id, channel, request.query)
        except ValueError as problem:
            raise invalid(str(problem)) from None
        headers = await self._access.count_read(app)
        found = await self._store.page(app.id, channel, retention, query)
        stream = found.stream
        cursor = _next_cursor(app, channel, query, cursor_stream, found)
        broken, truncated = is_broken(stream, retention), _is_truncated(query.bounds, stream)
        missing = {
            "complete": not found.has_more and not truncated and not broken,
            "truncated_by_retention": truncated,
        }
        answer = {
            "items": [item for each in found.items if (item := self._item(stream, each)) is not None],
            "direction": direction_of(query),
            "limit": query.limit,
            "has_more": found.has_more,
            "next_cursor": cursor,
            "bounds": query.bounds,
            "continuity": self._retained(stream) | self._doubts(broken) | missing,
            "stream_state": self._state(stream, retention),
        }
        return ok(answer, headers)

    async def state(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET the stream's state."""
        app, retention = self._retention(request, app_id, channel)
        headers = await self._access.count_read(app)
        stream = await self._store.inspect(app.id, channel, retention)
        return ok({"channel": channel, "stream": self._inspection(stream, retention)}, headers)

    async def reset(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """POST: forget everything and begin another stream."""
        app, retention = self._retention(request, app_id, channel)
        body = confirmed(request, channel, "reset")
        headers = await self._access.count_read(app)
        gone = await self._store.reset(app.id, channel, retention)
        streams = {"previous_stream_id": gone.before or None, "new_stream_id": gone.stream.id}
        self._note("reset", app, channel, body)
        return ok(done("reset", channel, body) | streams | self._removed(gone, retention), headers)

    def _retention(self, request: ApiRequest, app_id: str, channel: str) -> tuple[App, Retention]:
        app = self._access.app(request, app_id)
        if not valid_channel_name(channel, app.max_channel_name_length):
            raise invalid("The channel name is not valid")
        retention = self._retention_of(app, channel)
        if retention is None:
            message = f"{self.title} is disabled by policy for channel '{channel}'"
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "feature_disabled", message)
        return app, retention

    def _removed(self, gone: Purged, retention: Retention) -> dict[str, Any]:
        return {
            f"purged_{self.things}": gone.count,
            "purged_bytes": gone.bytes,
            "stream": self._inspection(gone.stream, retention),
        }

    def _inspection(self, stream: Stream, retention: Retention) -> dict[str, Any]:
        return {
            "stream_id": stream.id or None,
            "next_serial": stream.serial + 1 if stream.id else None,
            "retained": self._retained(stream),
            "state": self._state(stream, retention),
        }

    def _retained(self, stream: Stream) -> dict[str, Any]:
        kept = stream.count > 0
        return {
            "stream_id": stream.id or None,
            "oldest_available_serial": stream.first if kept else None,
            "newest_available_serial": stream.serial if kept else None,
            "oldest_available_published_at_ms": stream.first_ms if kept else None,
            "newest_available_published_at_ms": stream.last_ms if kept else None,
            f"retained_{self.things}": stream.count,
            "retained_bytes": stream.bytes,
        }

    def _state(self, stream: Stream, retention: Retention) -> dict[str, Any]:
        broken = is_broken(stream, retention)
        return {
            "stream_id": stream.id or None,
            "durable_state": "degraded" if broken else "healthy",
            self.proven: not broken,
            "reset_required": False,
            "reason": _BROKEN if broken else None,
            "node_id": None,
            "last_transition_at_ms": min(stream.broken_ms, stream.now_ms) or None,
            "authoritative_source": self._store.name,
            "observed_source": self._store.name,
        }

    def _note(self, done: str, app: App, channel: str, body: dict[str, Any]) -> None:
        """A removal stands in the log."""
        by = body.get("requested_by") or "somebody"
        subject = self.subject + channel
        self._log.info("history of %s of app %s was %s by %.100r: %.200r", subject, app.id, done, by, body["reason"])


def _next_cursor(app: App, channel: str, query: PageQuery, cursor_stream: str, found: Page) -> str | None:
    """Of the page behind this one, if there is one. Raises ApiError when it was no successor of its own cursor."""
    stream = found.stream
    if cursor_stream and cursor_stream != stream.id:
        raise invalid("Expired history cursor: channel stream changed")
    if query.after is not None and query.after < stream.first:
        raise invalid("Expired history cursor: cursor points before retained history")
    if not found.has_more:
        return None
    return encoded(cursor_of(app.id, channel, stream.id, found.items[-1].serial, query))


def _is_truncated(bounds: Bounds, stream: Stream) -> bool:
    """Whether something was published within the bounds that is not kept any more."""
    gone = stream.first > 1
    if bounds.start_serial is not None:
        gone &= max(bounds.start_serial, 1) < stream.first
    if bounds.start_time_ms is not None:
        gone &= bounds.start_time_ms <= stream.gone_ms
    return gone


def is_broken(stream: Stream, retention: Retention) -> bool:
    """Whether events may be missing between those that are kept."""
    return stream.broken_ms > stream.now_ms - retention.window_ms


def confirmed(request: ApiRequest, channel: str, operation: str) -> dict[str, Any]:
    """The body of a request that removes something, which says once more what and why."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise invalid("The body is not a JSON object")
    if body.get("confirm_channel") != channel:
        raise invalid("confirm_channel must exactly match the channel path")
    if body.get("confirm_operation") != operation:
        raise invalid(f"confirm_operation must be '{operation}'")
    reason, by = body.get("reason"), body.get("requested_by")
    if not isinstance(reason, str) or not reason.strip():
        raise invalid("reason must not be empty")
    if not isinstance(by, str | None):
        raise invalid("requested_by must be text")
    return body


def done(operation: str, channel: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "ok": True,
        "operation": operation,
        "channel": channel,
        "reason": body["reason"],
        "requested_by": body.get("requested_by"),
    }
