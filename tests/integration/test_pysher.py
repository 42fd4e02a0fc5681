"""Pysher, the Python client library, against a running engine."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pysher
import pytest

from tests.support.engine import APP, Engine

SUBSCRIBED = "pusher_internal:subscription_succeeded"
JOINED, LEFT = "pusher_internal:member_added", "pusher_internal:member_removed"
Found = queue.SimpleQueue[tuple[str, str, Any]]


class Client:
    """A connection that subscribes as soon as it is established, in Pysher's own thread, as its manual shows."""

    def __init__(self, engine: Engine, user: str, channels: Sequence[str]) -> None:
        self.found: Found = queue.SimpleQueue()
        self.pysher = pysher.Pusher(
            APP["key"],
            secret=APP["secret"],
            user_data={"user_id": user},
            custom_host="127.0.0.1",
            port=engine.port,
            secure=False,
        )
        self.pysher.connection.bind("pusher:connection_established", lambda _: [self._subscribe(c) for c in channels])
        self.pysher.connect()

    def next(self) -> tuple[str, str, Any]:
        """(channel, event, data) of the oldest event that was not taken yet."""
        return self.found.get(timeout=10)

    def close(self) -> None:
        """`disconnect` alone leaves its thread in a wait of 100 s; an end of the stream wakes it."""
        connection = self.pysher.connection
        connection.disconnect_called = True
        connection.socket.sock.sock.shutdown(socket.SHUT_RDWR)
        connection.join(10)
        assert not connection.is_alive()

    def _subscribe(self, channel: str) -> None:
        subscribed = self.pysher.subscribe(channel)
        for event in (SUBSCRIBED, JOINED, LEFT, "greeting"):
            subscribed.bind(event, lambda data, event=event: self.found.put((channel, event, json.loads(data))))


@pytest.fixture
def connect(engine: Engine) -> Iterator[Callable[..., Client]]:
    """Opens connections; all are closed at the end."""
    opened: list[Client] = []

    def open_connection(user: str, *channels: str) -> Client:
        opened.append(Client(engine, user, channels))
        return opened[-1]

    yield open_connection
    for client in opened:
        client.close()


def test_public_private_and_presence(
    engine: Engine, connect: Callable[..., Client], unique: Callable[[str], str]
) -> None:
    channels = [unique(stem) for stem in ("public", "private-room", "presence-room")]
    client = connect("ada", *channels)
    assert {client.next()[:2] for _ in channels} == {(channel, SUBSCRIBED) for channel in channels}
    for channel in channels:
        engine.trigger(channel, "greeting", '{"n":1}')
        assert client.next() == (channel, "greeting", {"n": 1})


def test_members_come_and_go(connect: Callable[..., Client], unique: Callable[[str], str]) -> None:
    room = unique("presence-room")
    ada = connect("ada", room)
    assert ada.next()[2]["presence"]["ids"] == ["ada"]
    bob = connect("bob", room)
    assert bob.next()[2]["presence"]["count"] == 2
    _, event, member = ada.next()
    assert (event, member["user_id"]) == (JOINED, "bob")
    bob.pysher.unsubscribe(room)
    assert ada.next() == (room, LEFT, {"user_id": "bob"})
