"""Faults of our own side, put in where they hurt: no place of a channel or queue is left to a connection that is gone.

`make debug-test` runs this with freed memory overwritten, so that a pointer left behind does not go unseen.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import logging
import random
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from engine._fast.connection import Connection
from engine._fast.hub import Hub, Pending
from engine._fast.parser import Parsers
from engine._fast.queues import FlushQueue
from tests._fast.pair import Recorder, hub_server
from tests.support.waiting import until

FRAME = b"\x81\x02hi"


class Broken(Recorder):
    """A handler whose part of an end fails, as a fault in any collaborator would make it."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self._failing = failing

    def leaving(self, connection: Connection) -> None:
        if "leaving" in self._failing:
            raise RuntimeError("a fault of ours")

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        super().closed(connection, code, reason)
        if "closed" in self._failing:
            raise RuntimeError("a fault of ours")


class Socket:
    """A transport whose writes fail when told to. :ivar ends: how often it was aborted."""

    def __init__(self) -> None:
        self.written = b""
        self.ends = 0
        self.error: BaseException | None = None
        self.on_write: Callable[[], None] = lambda: None

    def get_extra_info(self, name: str) -> object:
        return object()  # as under TLS: every write goes through the transport

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return bool(self.ends)

    def write(self, data: bytes) -> None:
        self.on_write()
        if self.error is not None:
            raise self.error
        self.written += data

    def abort(self) -> None:
        self.ends += 1


class Bench:
    """A hub with connections over such transports."""

    def __init__(self, handler: Recorder | None = None) -> None:
        self.turns: list[Callable[[], None]] = []
        self.hub = Hub(FlushQueue(self.turns.append, 1 << 20))
        self.handler = handler or Recorder()
        self._parsers = Parsers(1 << 16, logging.getLogger("picows"))
        self._number = 0

    def connect(self) -> tuple[Connection, Socket]:
        self._number += 1
        socket = Socket()
        connection = Connection(
            f"1.{self._number}", None, self.hub.traffic("app"), self.handler, self.hub.flush_queue, 1 << 16
        )
        connection.open(socket, self._parsers, b"")  # type: ignore[arg-type]
        self.hub.add(connection)
        return connection, socket

    def join(self, connection: Connection, name: str) -> None:
        Pending(self.hub.open("app", name), connection).activate(0, [])

    def turn(self) -> None:
        """The end of a loop turn, and those that follow from it."""
        while self.turns:
            self.turns.pop(0)()


@pytest.mark.parametrize("failing", [("leaving",), ("closed",), ("leaving", "closed")])
async def test_an_end_that_fails_leaves_no_pointer_behind(failing: tuple[str, ...]) -> None:
    async with hub_server() as b:
        b.recorder = Broken(*failing)
        _, peer = await b.connect()
        b.subscribe(b.recorder.opened_[0], "room")
        other, other_peer = await b.connect()
        b.subscribe(other, "room")
        assert peer.transport is not None
        peer.transport.underlying_transport.abort()
        await until(lambda: b.recorder.closed_)
        b.recorder.opened_.pop(0)  # nobody but the channel knows it now
        b.recorder.closed_.clear()
        del peer
        gc.collect()
        room = b.hub.channel("app", "room")
        assert room is not None
        room.broadcast(FRAME)
        assert [each.socket_id for each in room.connections()] == ["1.1", "1.2"]
        for each in room.connections():
            b.hub.leave(each, room)
        del each
        await until(lambda: other_peer.texts == ["hi"])


def test_the_hub_takes_who_is_gone_out_of_every_channel() -> None:
    bench = Bench()
    (gone, _), (stays, socket) = bench.connect(), bench.connect()
    for n in range(40):
        bench.join(gone, f"room-{n}")
        bench.join(stays, f"room-{n}")
    bench.hub.discard(gone)
    assert gone.channel_count == 0
    for n in range(40):
        room = bench.hub.channel("app", f"room-{n}")
        assert room is not None
        assert room.connections() == [stays]
        room.broadcast(FRAME)
    bench.turn()
    assert socket.written == FRAME * 40


@pytest.mark.parametrize("error", [RuntimeError("a fault"), MemoryError()])
def test_a_write_that_fails_is_one_connections_end_and_nobody_elses(error: Exception) -> None:
    bench = Bench()
    made = [bench.connect() for _ in range(200)]
    for connection, _ in made:
        bench.join(connection, "room")
    bench.turn()
    bad = {3, 63, 64, 128, 199}
    for n in bad:
        made[n][1].error = error
    room = bench.hub.channel("app", "room")
    assert room is not None
    room.broadcast(FRAME)
    bench.turn()
    assert [n for n, (_, socket) in enumerate(made) if socket.written != FRAME] == sorted(bad)
    assert [n for n, (_, socket) in enumerate(made) if socket.ends] == sorted(bad)
    room.broadcast(FRAME)
    bench.turn()
    assert {socket.written for n, (_, socket) in enumerate(made) if n not in bad} == {FRAME * 2}


def test_a_flush_within_a_flush_writes_everything_once() -> None:
    bench = Bench()
    made = [bench.connect() for _ in range(130)]
    bench.turn()
    made[70][1].on_write = bench.hub.flush_queue.flush
    made[71][1].error = RuntimeError("a fault")
    for connection, _ in made:
        connection.send(FRAME)
    bench.turn()
    assert [n for n, (_, socket) in enumerate(made) if socket.written != FRAME] == [71]


# --- no memory, at each place where some is asked for


@pytest.fixture
def no_memory() -> Iterator[ModuleType]:
    """`_testcapi`, whose `set_nomemory(first, last)` makes those allocations fail."""
    if importlib.util.find_spec("_testcapi") is None:
        pytest.skip("this Python was built without _testcapi")
    module = importlib.import_module("_testcapi")
    yield module
    module.remove_mem_hooks()


def _fails(module: ModuleType, nth: int, work: Callable[[], Any]) -> bool:
    """Whether `work` was hit by the nth allocation from now on failing."""
    module.set_nomemory(nth, nth + 1)
    try:
        work()
    except (MemoryError, SystemError):
        return True
    finally:
        module.remove_mem_hooks()
    return False


def test_joining_and_leaving_without_memory_keeps_both_sides_in_step(no_memory: ModuleType) -> None:
    chance = random.Random(1)
    bench = Bench()
    made = [bench.connect()[0] for _ in range(12)]
    rooms = [bench.hub.open("app", f"room-{n}") for n in range(24)]
    inside: set[tuple[int, int]] = set()
    hits = 0
    for _ in range(4000):
        who, where = chance.randrange(len(made)), chance.randrange(len(rooms))
        connection, room = made[who], rooms[where]
        if (who, where) in inside:
            work = functools.partial(bench.hub.leave, connection, room)
        else:
            work = functools.partial(Pending(room, connection).activate, 0, [])
        hits += _fails(no_memory, chance.randrange(4), work)
        if bench.hub.subscribed(connection, room):
            inside.add((who, where))
        else:
            inside.discard((who, where))
        assert {each.socket_id for each in room.connections()} == {
            made[n].socket_id for n, in_room in inside if in_room == where
        }
    assert hits
    assert [each.channel_count for each in made] == [sum(n == who for n, _ in inside) for who in range(len(made))]
    del made
    gc.collect()
    for room in rooms:
        room.broadcast(FRAME)
    bench.turn()


def test_a_broadcast_and_a_flush_without_memory_write_nothing_twice(no_memory: ModuleType) -> None:
    chance = random.Random(2)
    bench = Bench()
    made = [bench.connect() for _ in range(70)]
    for connection, _ in made:
        bench.join(connection, "room")
    bench.turn()
    room = bench.hub.channel("app", "room")
    assert room is not None
    for n in range(300):
        frame = b"\x81\x03" + b"%03d" % n
        _fails(no_memory, chance.randrange(12), functools.partial(room.broadcast, frame))
        while bench.turns:
            turn = bench.turns.pop(0)
            _fails(no_memory, chance.randrange(12), turn)
    for _, socket in made:
        numbers = [socket.written[at + 2 : at + 5] for at in range(0, len(socket.written), 5)]
        assert len(numbers) == len({*numbers})
        assert numbers == sorted(numbers)
