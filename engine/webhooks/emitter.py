"""Webhook events that a worker sees itself: connections, cache misses and client events, handed to its batcher.

Occupancy and membership are not among them; those are decided in the shared state and emitted by the leader.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from engine.app import App
from engine.config.event_types import CACHE_MISS, CLIENT_EVENT, CONNECTION_ESTABLISHED, CONNECTION_TERMINATED
from engine.protocol.json_values import loads
from engine.webhooks import event
from engine.webhooks.event import WebhookEvent
from engine.webhooks.filter import may_want

_CLIENT_EVENT = frozenset({CLIENT_EVENT})
_CACHE_MISS = frozenset({CACHE_MISS})
_ESTABLISHED = frozenset({CONNECTION_ESTABLISHED})
_TERMINATED = frozenset({CONNECTION_TERMINATED})


class EventSink(Protocol):
    """Where events go: the batcher."""

    def add(self, app: App, event: WebhookEvent) -> None: ...


class Emitter:
    """Builds an event only when some endpoint of the app may want it.

    :param now_ms: milliseconds since the epoch.
    """

    def __init__(self, sink: EventSink, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._sink = sink
        self._now_ms = now_ms

    def client_event(
        self, app: App, channel: str, name: str, data_json: bytes, socket_id: str, user_id: str | None
    ) -> None:
        """:param data_json: the JSON value that the client sent. :param user_id: the sender's, on presence channels."""
        if may_want(app, _CLIENT_EVENT, channel):
            text = loads(data_json) if data_json.startswith(b'"') else data_json.decode()
            made = event.client_event(app.id, channel, name, text, socket_id, user_id, self._now_ms())
            self._sink.add(app, made)

    def cache_miss(self, app: App, channel: str) -> None:
        if may_want(app, _CACHE_MISS, channel):
            self._sink.add(app, event.cache_miss(app.id, channel, self._now_ms()))

    def connection_established(self, app: App, socket_id: str, address: str | None) -> None:
        """:param address: the client's; None on a Unix socket."""
        if may_want(app, _ESTABLISHED, ""):
            self._sink.add(app, event.connection_established(app.id, socket_id, self._now_ms(), address))

    def connection_terminated(self, app: App, socket_id: str, code: int, user_id: str | None) -> None:
        if may_want(app, _TERMINATED, ""):
            self._sink.add(app, event.connection_terminated(app.id, socket_id, code, self._now_ms(), user_id))
