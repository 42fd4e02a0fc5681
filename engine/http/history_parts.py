"""What the histories of events and of members share at the API: where a page stands in its stream, and what a request
that removes something must say.

Never asks a store.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson

from engine.app import App, Retention
from engine.http.history_query import cursor_of, encoded
from engine.http.request import ApiRequest, invalid
from engine.interfaces import Bounds, Page, PageQuery, Stream

_BROKEN = "Redis was replaced or started again: events around that moment may be missing"


def next_cursor(app: App, channel: str, query: PageQuery, cursor_stream: str, found: Page) -> str | None:
    """Of the page behind this one, if there is one. Raises ApiError when it was no successor of its own cursor."""
    stream = found.stream
    if cursor_stream and cursor_stream != stream.id:
        raise invalid("Expired history cursor: channel stream changed")
    if query.after is not None and query.after < stream.first:
        raise invalid("Expired history cursor: cursor points before retained history")
    if not found.has_more:
        return None
    return encoded(cursor_of(app.id, channel, stream.id, found.items[-1].serial, query))


def retained(stream: Stream, what: str) -> dict[str, Any]:
    """:param what: messages or events, as the number of them is called."""
    kept = stream.count > 0
    return {
        "stream_id": stream.id or None,
        "oldest_available_serial": stream.first if kept else None,
        "newest_available_serial": stream.serial if kept else None,
        "oldest_available_published_at_ms": stream.first_ms if kept else None,
        "newest_available_published_at_ms": stream.last_ms if kept else None,
        f"retained_{what}": stream.count,
        "retained_bytes": stream.bytes,
    }


def stream_state(stream: Stream, retention: Retention, store: str, proven: str) -> dict[str, Any]:
    """:param store: its name. :param proven: what the member is called that says whether nothing is missing."""
    broken = is_broken(stream, retention)
    return {
        "stream_id": stream.id or None,
        "durable_state": "degraded" if broken else "healthy",
        proven: not broken,
        "reset_required": False,
        "reason": _BROKEN if broken else None,
        "node_id": None,
        "last_transition_at_ms": min(stream.broken_ms, stream.now_ms) or None,
        "authoritative_source": store,
        "observed_source": store,
    }


def is_truncated(bounds: Bounds, stream: Stream) -> bool:
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


def note(log: logging.Logger, done: str, app: App, channel: str, body: dict[str, Any]) -> None:
    """A removal stands in the log."""
    by = body.get("requested_by") or "somebody"
    log.info("history of %s of app %s was %s by %.100r: %.200r", channel, app.id, done, by, body["reason"])
