"""What is kept of a channel's events, for back ends: pages, the stream's state, reset and purge (H-67 to H-74).

The form of each answer is Sockudo's, word for word, and each says what is missing. Nothing here reads a driver's data
but through `interfaces.HistoryStore`.
"""

from __future__ import annotations

from typing import Any

import orjson

from engine._fast import json_text
from engine._fast.frame import payload_of
from engine.app import App, Retention
from engine.http.history_parts import StreamHistory, confirmed, done
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import Kept, Stream
from engine.protocol.json_values import loads

#: What a purge may be asked to remove, and the member of the body that says up to where.
_MODES = {"all": "", "before_serial": "before_serial", "before_time_ms": "before_time_ms"}


class History(StreamHistory):
    """Answers what was published."""

    title, things, proven = "Durable history", "messages", "recovery_allowed"

    async def purge(self, request: ApiRequest, app_id: str, channel: str) -> ApiResponse:
        """POST /apps/{id}/channels/{channel}/history/purge: remove events; the stream goes on."""
        app, retention = self._retention(request, app_id, channel)
        body = confirmed(request, channel, "purge")
        limits = _limits(body)
        headers = await self._access.count_read(app)
        gone = await self._store.purge(app.id, channel, retention, *limits)
        said = {"mode": body["mode"], "before_serial": limits[0], "before_time_ms": limits[1]}
        self._note("purged", app, channel, body)
        return ok(done("purge", channel, body) | said | self._removed(gone, retention), headers)

    def _retention_of(self, app: App, channel: str) -> Retention | None:
        rule = app.history_rule(channel)
        return None if rule is None else rule.retention

    def _item(self, stream: Stream, kept: Kept) -> dict[str, Any]:
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
    if not isinstance(mode, str) or mode not in _MODES:
        raise invalid(f"mode must be one of {', '.join(_MODES)}")
    for name in ("before_serial", "before_time_ms"):
        value = body.get(name)
        if name == _MODES[mode] and (type(value) is not int or not 0 <= value < 2**53):
            raise invalid(f"Purge mode '{mode}' requires {name} only")
        if name != _MODES[mode] and value is not None:
            raise invalid(f"Purge mode '{mode}' does not accept {name}")
    return body.get("before_serial"), body.get("before_time_ms")
