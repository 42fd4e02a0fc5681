"""Connections of publishes over real sockets: read by the loop first, and by an epoll of their own from then on."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from tests.fuzz.publish_sides import APPS, Side
from tests.http.serving import NOW_S
from tests.support.signing import signed_query
from tests.support.waiting import until

WAIT_S = 30


def publish(data: str = "x") -> bytes:
    body = f'{{"name":"e","channel":"room","data":"{data}"}}'.encode()
    query = signed_query(APPS[0].key, APPS[0].secret, "POST", "/apps/3/events", body, {}, NOW_S)
    head = f"POST /apps/3/events?{urlencode(query)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Gate(asyncio.Protocol):
    """Hands its connection to the server with its first bytes."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._side._server.connect(self._transport, data)


class Client:
    """:ivar side: the server that it is connected to."""

    def __init__(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.side, self.reader, self.writer = side, reader, writer

    async def answered(self, count: int) -> None:
        for _ in range(count):
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT_S)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert await self.reader.readexactly(2) == b"{}"

    async def publish(self, times: int) -> None:
        """One after the other."""
        for _ in range(times):
            self.writer.write(publish())
            await self.answered(1)

    async def gone(self) -> None:
        await until(lambda: not self.side._server.connections)


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    side = Side(plain=True)
    server = await asyncio.get_running_loop().create_server(lambda: Gate(side), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield Client(side, reader, writer)
    finally:
        writer.close()
        server.close()
        await until(lambda: not side._server.connections)
        side._server.readers.stop()


async def test_requests_come_one_by_one_many_at_once_and_in_pieces() -> None:
    async with connected() as client:
        await client.publish(5)
        client.writer.write(publish() * 50)
        await client.answered(50)
        data = publish()
        for at in range(0, len(data), 7):
            client.writer.write(data[at : at + 7])
            await asyncio.sleep(0)
        await client.answered(1)
        # More than the server keeps of one client: it reads on when it has answered.
        client.writer.write(publish("y" * 4000) * 200)
        await client.answered(200)
        assert client.side._hub.traffic("3").publishes == 256


async def test_who_has_no_more_to_say_is_answered_and_left() -> None:
    async with connected() as client:
        await client.publish(3)
        client.writer.write(publish())
        client.writer.write_eof()
        await client.answered(1)
        assert await asyncio.wait_for(client.reader.read(), WAIT_S) == b""
        await client.gone()


async def test_who_is_cut_off_is_forgotten() -> None:
    async with connected() as client:
        await client.publish(3)
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await client.gone()


async def test_a_used_connection_is_handed_over_with_its_bytes_and_what_comes_later() -> None:
    async with connected() as client:
        await client.publish(3)
        client.writer.write(publish() + b"GET /x HTTP/1.1\r\n")
        await client.answered(1)
        await until(lambda: client.side._handed_over is not None)
        assert client.side._handed_over == b"GET /x HTTP/1.1\r\n"
        client.writer.write(b"\r\n")
        await until(lambda: client.side.successor.received == b"\r\n")
