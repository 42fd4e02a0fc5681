"""Subscribers on real sockets in this process, read by the compiled load client in another.

Used by the micro-benchmarks and the instruction counts. The loop turn's flush is called by hand, so a broadcast can be
timed until the last outbox is empty, without an event loop's own work in between.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from benchmarks.load.load_client import Client, connected
from engine._fast.connection import Connection
from engine._fast.hub import Channel, Hub, Pending
from engine._fast.plain_socket import PlainSockets
from engine._fast.queues import FlushQueue
from engine._fast.readable import Readers
from engine.metrics.metrics import Metrics
from engine.ws.upgrade import Upgrade

APP = "app"
MAX_WAITING_BYTES = 1 << 20
MAX_MESSAGE_BYTES = 64 * 1024
TIMEOUT_S = 30.0


class Sockets:
    """:ivar channel: has every connection as its subscriber. :ivar sent: broadcasts so far."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._due: list[Callable[[], None]] = []
        self.hub = Hub(FlushQueue(self._due.append, MAX_WAITING_BYTES))
        self.channel: Channel = self.hub.open(APP, "bench-0")
        self.opened_ = 0
        self.closed_ = 0
        self.sent = 0

    # --- what is measured

    def broadcast(self, frame: bytes) -> None:
        """One event to everybody, until it has been written to the last socket."""
        self.channel.broadcast(frame)
        while self._due:
            self._due.pop()()
        self.sent += 1

    # --- around it

    def all_arrived(self, client: Client) -> bool:
        """Wait until every event has reached every subscriber; False when one does not."""
        deadline = time.monotonic() + TIMEOUT_S
        while client.count() < self.sent * len(self.channel):
            if time.monotonic() > deadline:
                return False
            self.loop.run_until_complete(asyncio.sleep(0.005))
        return client.count() == self.sent * len(self.channel) and self.hub.flush_queue.slow_consumers == 0

    def accept(self, *_: object) -> Connection:
        number = self.opened_ + self.closed_ + len(self.hub)
        connection = Connection(
            f"1.{number}", None, self.hub.traffic(APP), self, self.hub.flush_queue, MAX_MESSAGE_BYTES
        )
        self.hub.add(connection)
        return connection

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until the condition holds."""

        async def until() -> None:
            async with asyncio.timeout(TIMEOUT_S):
                while not condition():
                    await asyncio.sleep(0.005)
                    while self._due:  # answers to handshakes
                        self._due.pop()()

        self.loop.run_until_complete(until())

    # --- a Connection's handler

    def opened(self, connection: Connection) -> None:
        self.opened_ += 1
        Pending(self.channel, connection).activate(0, [])

    def message(self, connection: Connection, payload: bytes) -> None:
        """The client says nothing."""

    def leaving(self, connection: Connection) -> None:
        """Nothing to leave."""

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        self.closed_ += 1
        self.hub.leave(connection, self.channel)


class Door(asyncio.Protocol):
    """Waits for the head of an upgrade request, which the load client sends in one piece."""

    def __init__(self, upgrade: Upgrade) -> None:
        self._upgrade = upgrade

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._upgrade.open(self._transport, data)


@contextmanager
def sockets(count: int) -> Iterator[tuple[Sockets, Client]]:
    """So many subscribers, each on a socket of its own."""
    cores = sorted(os.sched_getaffinity(0))
    loop = uvloop.new_event_loop()
    made = Sockets(loop)
    readers = Readers(made.hub.flush_queue, loop.add_reader, loop.remove_reader)
    plain = PlainSockets(readers, loop.call_soon, 2**31 - 1)
    upgrade = Upgrade(made.accept, MAX_MESSAGE_BYTES, Metrics(), 16384, b"HTTP/1.1 431 Too Long\r\n\r\n", plain)
    server = loop.run_until_complete(loop.create_server(lambda: Door(upgrade), "127.0.0.1", 0, backlog=4096))
    port = server.sockets[0].getsockname()[1]
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
    try:
        with connected(set(cores[1:]), {"mode": "plain", "port": port, "conns": count, "window": 100}) as client:
            made.wait(lambda: made.opened_ == count)
            client.wait_for("ready")
            yield made, client
        made.wait(lambda: made.closed_ == count)
    finally:
        os.sched_setaffinity(0, cores)
        server.close()
        loop.run_until_complete(server.wait_closed())
        readers.stop()
        loop.close()
