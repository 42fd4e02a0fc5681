"""The way of events between the workers of a host: one wake-up for a loop turn, and nothing that nobody wants."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine._fast.envelope import read_event
from engine._fast.frame import text_frame
from engine._fast.log_link import LogLink
from engine.adapter.shared_memory_files import LogFiles
from tests._fast.pair import HubServer, hub_server
from tests.support.waiting import until


class Side:
    """A worker whose loop does not know of its waker: the tests say when it is woken."""

    def __init__(self, server: HubServer, files: LogFiles, number: int) -> None:
        self.server = server
        self.waker = files.wakers[number]
        self.other: list[tuple[str, bytes]] = []
        self.link = LogLink(
            files.open(number),
            server.hub,
            lambda channel, message: self.other.append((channel.name, message)),
            lambda missed: None,
        )
        self.link.log.join()
        self.link.read()

    def send(self, *texts: str, channel: str = "room", but: str = "") -> None:
        for text in texts:
            assert self.link.publish("app", channel, text_frame(text.encode()), but)

    def turn(self) -> None:
        """The end of a loop turn."""
        self.server.hub.flush_queue.flush()

    def wakes(self) -> int:
        """How often it was woken; it reads as its loop would have it."""
        try:
            times = os.eventfd_read(self.waker)
        except BlockingIOError:
            return 0
        os.eventfd_write(self.waker, times)
        self.link.on_woken(self.waker)
        return times


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Side, Side]]:
    files = LogFiles.create(2, 1024)
    try:
        async with hub_server() as one, hub_server() as other:
            yield Side(one, files, 0), Side(other, files, 1)
    finally:
        files.close()


async def test_what_a_turn_sends_wakes_once_and_arrives_in_order() -> None:
    async with two() as (a, b):
        mine, my_peer = await a.server.connect()
        theirs, their_peer = await b.server.connect()
        for side, connection in ((a, mine), (b, theirs)):
            side.server.subscribe(connection, "room")
            side.link.listen(side.server.hub.open("app", "room"))
        texts = [str(n) for n in range(600)]
        a.send(*texts)
        assert b.wakes() == 0, "the turn is not over"
        a.turn()
        assert b.wakes() == 1
        await until(lambda: my_peer.texts == texts and their_peer.texts == texts)
        assert a.server.hub.traffic("app").shared == b.server.hub.traffic("app").delivered == len(texts)


async def test_what_nobody_here_wants_neither_wakes_nor_is_looked_at() -> None:
    async with two() as (a, b):
        room = b.server.hub.open("app", "room")
        b.link.listen(room)
        a.send("1", channel="elsewhere")
        a.turn()
        assert b.wakes() == 0
        b.link.unlisten("app", "room")
        a.send("2")
        a.turn()
        assert b.wakes() == 0
        b.link.catch_up()
        assert b.server.hub.traffic("app").delivered == 0
        assert b.link.log.position == a.link.log.end


async def test_the_sender_is_passed_over_and_a_listener_hears_all() -> None:
    async with two() as (a, b):
        first, first_peer = await b.server.connect()
        second, second_peer = await b.server.connect()
        for connection in (first, second):
            b.server.subscribe(connection, "room")
        b.link.listen(b.server.hub.open("app", "room"))
        a.send("1", but=first.socket_id)
        a.turn()
        assert b.wakes() == 1
        b.link.overhear(lambda channel, message: b.other.append((f"heard in {channel.name}", message)))
        a.send("2")
        a.turn()
        assert b.wakes() == 1
        b.link.overhear(None)
        a.send("3")
        a.turn()
        assert b.wakes() == 1
        await until(lambda: first_peer.texts == ["3"] and second_peer.texts == ["1", "3"])
        given = ("", text_frame(b"2"))
        # It is delivered by whom it is given to.
        assert [(to, read_event(event)) for to, event in b.other] == [("heard in room", given), ("room", given)]


async def test_what_is_no_event_or_a_broken_one_is_given_to_its_owner() -> None:
    async with two() as (a, b):
        b.link.listen(b.server.hub.open("app", "room"))
        for message in (b"\x04\x01", b"\x01\x05ab", b"", b"\x01\x00no frame"):
            assert a.link.say("app", "room", message)
        assert b.wakes() == 1
        assert b.other == [("room", b"\x04\x01"), ("room", b"\x01\x05ab"), ("room", b""), ("room", b"\x01")]
