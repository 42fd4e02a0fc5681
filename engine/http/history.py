"""What is kept of a channel's events, for back ends: pages, the stream's state, reset and purge (H-67 to H-74).

The form of each answer is Sockudo's, word for word, and each says what is missing. Nothing here reads a driver's data
but through `interfaces.HistoryStore`.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import orjson

from engine._fast import json_text
from engine._fast.frame import payload_of
from engine.app import App, HistoryRule
from engine.errors import ApiError
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
from engine.http.history_query import direction_of, page_query
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import HistoryStore, Kept, Stream
from engine.protocol.channel import valid_channel_name
from engine.protocol.json_values import loads

#: What a purge may be asked to remove, and the member of the body that says up to where.
_MODES = {"all": "", "before_serial": "before_serial", "before_time_ms": "before_time_ms"}

_log = logging.getLogger(__name__)


class History:
    """Answers what was published."""

    def __init__(self, access: Access, store: HistoryStore) -> None:
        self._access = access
        self._store = store

    async def page(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}/history."""
        app, rule = self._rule(request, app_id, channel)
        try:
            query, cursor_stream = page_query(app.id, channel, request.query)
        except ValueError as problem:
            raise invalid(str(problem)) from None
        headers = await self._access.count_read(app)
        found = await self._store.page(app.id, channel, rule.retention, query)
        stream = found.stream
        cursor = next_cursor(app, channel, query, cursor_stream, found)
        truncated = is_truncated(query.bounds, stream)
        complete = not found.has_more and not truncated and not is_broken(stream, rule.retention)
        answer = {
            "items": [_item(stream, each) for each in found.items],
            "direction": direction_of(query),
            "limit": query.limit,
            "has_more": found.has_more,
            "next_cursor": cursor,
            "bounds": query.bounds,
            "continuity": retained(stream, "messages") | {"complete": complete, "truncated_by_retention": truncated},
            "stream_state": self._state(stream, rule),
        }
        return ok(answer, headers)

    async def state(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """GET /apps/{id}/channels/{channel}/history/state."""
        app, rule = self._rule(request, app_id, channel)
        headers = await self._access.count_read(app)
        stream = await self._store.inspect(app.id, channel, rule.retention)
        return ok({"channel": channel, "stream": self._inspection(stream, rule)}, headers)

    async def reset(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """POST /apps/{id}/channels/{channel}/history/reset: forget everything and begin another stream."""
        app, rule = self._rule(request, app_id, channel)
        body = confirmed(request, channel, "reset")
        headers = await self._access.count_read(app)
        gone = await self._store.reset(app.id, channel, rule.retention)
        note(_log, "reset", app, channel, body)
        answer = done("reset", channel, body) | {
            "previous_stream_id": gone.before or None,
            "new_stream_id": gone.stream.id,
            "purged_messages": gone.count,
            "purged_bytes": gone.bytes,
            "stream": self._inspection(gone.stream, rule),
        }
        return ok(answer, headers)

    async def purge(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """POST /apps/{id}/channels/{channel}/history/purge: remove events; the stream goes on."""
        app, rule = self._rule(request, app_id, channel)
        body = confirmed(request, channel, "purge")
        limits = _limits(body)
        headers = await self._access.count_read(app)
        gone = await self._store.purge(app.id, channel, rule.retention, *limits)
        note(_log, "purged", app, channel, body)
        answer = done("purge", channel, body) | {
            "mode": body["mode"],
            "before_serial": limits[0],
            "before_time_ms": limits[1],
            "purged_messages": gone.count,
            "purged_bytes": gone.bytes,
            "stream": self._inspection(gone.stream, rule),
        }
        return ok(answer, headers)

    def _rule(self, request: ApiRequest, app_id: str, channel: str) -> tuple[App, HistoryRule]:
        app = self._access.app(request, app_id)
        if not valid_channel_name(channel, app.max_channel_name_length):
            raise invalid("The channel name is not valid")
        rule = app.history_rule(channel)
        if rule is None:
            message = f"Durable history is disabled by policy for channel '{channel}'"
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "feature_disabled", message)
        return app, rule

    def _inspection(self, stream: Stream, rule: HistoryRule) -> dict[str, Any]:
        return {
            "stream_id": stream.id or None,
            "next_serial": stream.serial + 1 if stream.id else None,
            "retained": retained(stream, "messages"),
            "state": self._state(stream, rule),
        }

    def _state(self, stream: Stream, rule: HistoryRule) -> dict[str, Any]:
        return stream_state(stream, rule.retention, self._store.name, "recovery_allowed")


def _item(stream: Stream, kept: Kept) -> dict[str, Any]:
    payload = payload_of(kept.payload)
    return {
        "stream_id": stream.id,
        "serial": kept.serial,
        "published_at_ms": kept.time_ms,
        "message_id": f"{stream.id}:{kept.serial}",
        "event_name": _event_name(payload),
        "operation_kind": "append",
        "payload_size_bytes": len(payload),
        # Byte for byte as subscribers got it.
        "message": orjson.Fragment(payload),
    }


def _event_name(payload: bytes) -> str:
    # Without its data, which may be nested more deeply than can be read.
    members = json_text.members(payload) or {}
    return str(loads(members["event"])).encode("utf-8", "replace").decode()


def _limits(body: dict[str, Any]) -> tuple[int | None, int | None]:
    """Before which serial, and before which time, is purged."""
    mode = body.get("mode")
    if mode not in _MODES:
        raise invalid(f"mode must be one of {', '.join(_MODES)}")
    for name in ("before_serial", "before_time_ms"):
        value = body.get(name)
        if name == _MODES[mode] and (type(value) is not int or not 0 <= value < 2**53):
            raise invalid(f"Purge mode '{mode}' requires {name} only")
        if name != _MODES[mode] and value is not None:
            raise invalid(f"Purge mode '{mode}' does not accept {name}")
    return body.get("before_serial"), body.get("before_time_ms")
