"""Publishes and client events in C by a road that answers later: who is told what, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from engine._fast.awaited_link import AwaitedLink, AwaitedMessage
from engine._fast.client_event import PlainClientEvents
from engine._fast.envelope import read_event
from engine._fast.hub import Hub
from engine._fast.recent_events import RecentEvents
from engine.errors import StoreUnavailable
from engine.metrics.metrics import Metrics
from engine.ws.client_events import are_reported, only_sent
from engine.ws.state import ConnectionState
from tests._fast.pair import hub_server
from tests._fast.test_client_event import PLAIN, app
from tests._fast.test_http_socket import publish
from tests.fuzz.publish_sides import Side
from tests.fuzz.transport import Transport
from tests.support.waiting import until


class Road:
    """Keeps what it is given to carry, until the test says how that ends."""

    def __init__(self, *, fallback: bool = False) -> None:
        self.metrics = Metrics().adapter
        self.carried: list[tuple[bytes, bytes, AwaitedMessage]] = []
        self._fallback = fallback

    def link(self, hub: Hub) -> AwaitedLink:
        def carry(topic: bytes, envelope: bytes, message: AwaitedMessage) -> None:
            self.carried.append((topic, envelope, message))

        return AwaitedLink(hub, carry, b"prefix:", self._fallback, self.metrics, RecentEvents())

    def end(self, at: int, error: Exception | None = None) -> None:
        message = self.carried[at][2]
        assert not message.done()
        if error is None:
            message.set_result(1)
        else:
            message.set_exception(error)
        assert message.done()

    def counted(self, app_id: str = "3") -> dict[str, float]:
        names = ("sent", "resolved", "failed", "lost")
        return {name: sum(dict(getattr(self.metrics, name).of(app_id).take()).values()) for name in names}


class Publishing:
    """One connection of a back end to a server that publishes by the road."""

    def __init__(self, road: Road) -> None:
        self.side = Side(plain=True, awaited=road.link)
        self._transport: Any = Transport()

    def send(self, data: bytes) -> None:
        if self.side._server.connections:
            for connection in self.side._server.connections:
                connection.data_received(data)
        else:
            self.side._server.connect(self._transport, data)

    def answers(self) -> list[bytes]:
        """The bodies of the answers since the last call, once what was put off has had its turn."""
        self.side._server.reads._all_go_on()  # type: ignore[attr-defined]
        written = bytes(self._transport.written)
        self._transport.written.clear()
        return [part.partition(b"\r\n\r\n")[2] for part in written.split(b"HTTP/1.1 ")[1:]]

    def delivered(self) -> list[bytes]:
        self.side._hub.flush_queue.flush()
        return [bytes(each.written) for each in self.side._subscribers if each.written]


async def test_a_publish_is_answered_when_it_was_taken_and_the_next_one_sent_then() -> None:
    road = Road()
    backend = Publishing(road)
    backend.send(publish("one") + publish("two"))
    assert backend.answers() == []
    assert [topic for topic, _, _ in road.carried] == [b"prefix:3/room"]
    road.end(0)
    assert backend.answers() == [b"{}"]
    assert len(road.carried) == 2
    backend.send(publish("three"))
    road.end(1)
    assert backend.answers() == [b"{}"]
    road.end(2)
    assert backend.answers() == [b"{}"]
    frames = [read_event(envelope) for _, envelope, _ in road.carried]
    for found, data in zip(frames, (b"one", b"two", b"three"), strict=True):
        assert found is not None
        assert found[0] == ""
        assert b'"data":"' + data + b'"' in found[1]
    # What this worker's subscribers get comes back by the road.
    assert backend.delivered() == []
    assert road.counted() == {"sent": 3, "resolved": 3, "failed": 0, "lost": 0}
    traffic = backend.side._hub.traffic("3")
    assert (traffic.publishes, traffic.broadcasts, traffic.publish_sent_bytes) == (3, 3, 6)


async def test_who_publishes_is_told_what_was_not_taken() -> None:
    road = Road()
    backend = Publishing(road)
    backend.send(publish() + publish())
    road.end(0, StoreUnavailable("connection to Redis lost"))
    (answer,) = backend.answers()
    assert b"Shared state cannot be reached now." in answer
    road.end(1)
    assert backend.answers() == [b"{}"]
    assert road.counted() == {"sent": 2, "resolved": 1, "failed": 1, "lost": 0}
    assert backend.side._hub.traffic("3").publishes == 1
    counted = backend.side._serving.api._metrics.http
    assert dict(counted.errors.of("3", "503").take()) == {counted.errors.of("3", "503").key: 1}


async def test_what_is_not_taken_is_delivered_here_alone_where_that_is_allowed() -> None:
    road = Road(fallback=True)
    backend = Publishing(road)
    backend.send(publish("alone"))
    road.end(0, StoreUnavailable("no connection to Redis"))
    assert backend.answers() == [b"{}"]
    (frame,) = backend.delivered()
    assert b"alone" in frame
    assert road.counted() == {"sent": 1, "resolved": 0, "failed": 1, "lost": 0}


async def test_a_back_end_that_has_gone_leaves_its_publish_to_end_by_itself() -> None:
    road = Road()
    backend = Publishing(road)
    backend.send(publish())
    (connection,) = backend.side._server.connections
    connection.connection_lost(None)
    road.end(0)
    assert backend.answers() == []
    assert backend.side._hub.traffic("3").publishes == 1


@pytest.mark.parametrize("fallback", [False, True])
async def test_a_client_event_that_is_not_taken_is_counted_as_lost(fallback: bool) -> None:
    async with hub_server() as server:
        road = Road(fallback=fallback)
        accepted = Metrics().events.by_clients
        plain = PlainClientEvents(server.hub, None, accepted, only_sent, are_reported, awaited=road.link(server.hub))
        made = app()
        sender, sender_peer = await server.connect()
        other, other_peer = await server.connect()
        for connection in (sender, other):
            connection.app, connection.state = made, ConnectionState()
            server.subscribe(connection, "private-room")
        assert plain.take(sender, PLAIN[0])
        assert plain.take(sender, PLAIN[1])
        assert [read_event(envelope)[0] for _, envelope, _ in road.carried] == [sender.socket_id] * 2  # type: ignore[index]
        road.end(0)
        road.end(1, StoreUnavailable("Redis did not take the event in time"))
        assert road.counted("app") == {"sent": 2, "resolved": 1, "failed": 1, "lost": 1}
        if fallback:
            await until(lambda: len(other_peer.texts) == 1)
            assert "quoted" in other_peer.texts[0]
        assert sender_peer.texts == []
