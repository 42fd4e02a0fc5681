"""What others publish through Redis, as it comes: read by the reader that delivers in C, or all of it by hiredis-py."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import hiredis

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import Hub, Pending
from engine._fast.parser import Parsers
from engine._fast.queues import FlushQueue
from engine.adapter.redis import RedisAdapter
from engine.config.redis import RedisOptions
from engine.interfaces import ClusterEvents
from engine.metrics.metrics import Metrics
from engine.redis.pubsub.subscriber import SubscribeLink
from tests.fuzz.transport import Transport

#: Topics that are channels here, of two sockets each.
TOPICS = (b"a", b"b")
SOCKETS = ("1.1", "2.2")


@dataclass
class Outcome:
    """:ivar told: what the adapter and the subscriptions were told. :ivar written: to each socket, in order.
    :ivar counted: events delivered, others received, malformed ones. :ivar given_up: the connection was.
    """

    told: list[object]
    written: list[bytes]
    counted: tuple[float, ...]
    given_up: bool


class _Nobody:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Subscriber:
    """One worker's connection that subscribes. :param plain: events are delivered by C as they are read."""

    def __init__(self, *, plain: bool, overheard: bool = False) -> None:
        self._plain, self._overheard = plain, overheard
        self._metrics = Metrics()
        self._parsers = Parsers(1000, _Nobody())  # type: ignore[arg-type]

    def play(self, pieces: list[bytes]) -> Outcome:
        turns: list[Callable[[], None]] = []
        hub = Hub(FlushQueue(turns.append, 1 << 24))
        sockets = [self._socket(hub, socket_id) for socket_id in SOCKETS]
        told: list[object] = []

        def on_change(change: Any) -> None:
            told.append(change)
            # As rosters do, so that its place among the events is seen.
            hub.open("app", "a").broadcast(text_frame(repr(change).encode()))

        events = ClusterEvents(
            on_member_change=on_change,
            on_total_change=on_change,
            on_terminate=lambda *user: on_change(user),
            on_wake=lambda: on_change("wake"),
            on_connected=lambda *_: None,
            on_missed=on_change,
            on_trace=on_change,
        )
        before = self._counted()
        adapter = RedisAdapter(hub, RedisOptions(), "", False, events, self._metrics.adapter, "")
        if self._overheard:
            adapter.overhear(lambda channel, envelope: told.append((channel.name, envelope)))
        link, transport = adapter._subscriber, Transport()
        assert isinstance(link, SubscribeLink)
        if not self._plain:
            link._make_reader = hiredis.Reader
        link._reader = link._make_reader()
        link._loop = SimpleNamespace(call_soon=lambda *_: None, time=lambda: 0.0)  # type: ignore[assignment]
        link.connection_made(transport)  # type: ignore[arg-type]
        link.connected = True
        link.on_connected()
        for topic in TOPICS:
            adapter._channels[topic] = hub.open("app", topic.decode())
            link.subscribe(topic, lambda live, topic=topic: on_change((topic, live)))  # type: ignore[misc]
        link.unsubscribe(b"a")
        for piece in pieces:
            if not transport.closed:
                link.data_received(piece)
        hub.flush_queue.flush()
        counted = (hub.traffic("app").delivered, *map(operator.sub, self._counted(), before))
        return Outcome(told, [bytes(each.written) for each in sockets], counted, transport.closed)

    def _socket(self, hub: Hub, socket_id: str) -> Transport:
        transport = Transport()
        connection = Connection(socket_id, None, hub.traffic("app"), _Nobody(), hub.flush_queue, 1000)  # type: ignore[arg-type]
        connection.open(transport, self._parsers, b"")  # type: ignore[arg-type]
        hub.add(connection)
        for topic in TOPICS:
            Pending(hub.open("app", topic.decode()), connection).activate(0, [])
        return transport

    def _counted(self) -> tuple[float, float]:
        value = self._metrics.value
        return value("horizontal_adapter_received_requests", "app"), value("adapter_malformed_messages_total")


def difference(data: bytes, size: int, plain: Subscriber, python: Subscriber) -> str:
    """What C does otherwise, when it comes whole or in pieces of this size; "" for nothing."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    # A map, which nothing is answered with, is no list to hiredis-py.
    expected = python.play([data])
    for way, found in (("whole", plain.play([data])), ("in pieces", plain.play(pieces))):
        if found != expected and b"%" not in data:
            return f"{data!r} {way}: {found} instead of {expected}"
    return ""
