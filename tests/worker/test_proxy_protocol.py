"""Connections that begin with the PROXY protocol's header: who must send it, who may not, and what follows it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.protocol.address import Networks
from engine.worker.proxy_protocol import ProxyPort, Waiting

PEM = Path(__file__).parents[1] / "support" / "self_signed.pem"
LINE = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n"
ADDRESSES = bytes((198, 51, 100, 7, 192, 0, 2, 1, 1, 1, 1, 1))
BINARY = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f" + ADDRESSES + b"\x04\x00\x00"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class Echo(asyncio.Protocol):
    """Answers with where it was told that the client comes from, and with all that it got."""

    def __init__(self, source: str | None) -> None:
        self._source = source

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(f"{self._source};".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


class Side:
    """The listener's part."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.refused = 0
        self.is_full = False

    def undecided(self, gate: Waiting) -> None:
        if gate not in self.waiting:
            self.waiting.append(gate)

    def decided(self, gate: Waiting) -> None:
        self.waiting.remove(gate)

    def full(self) -> bool:
        return self.is_full

    def count(self) -> None:
        self.refused += 1


@contextlib.asynccontextmanager
async def port(trusted: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, Side]]:
    side = Side()
    listening = socket.create_server(("127.0.0.1", 0))
    number = listening.getsockname()[1]
    proxied = ProxyPort(listening, side, Networks([trusted]), Echo, tls, side.count)
    proxied.start()
    try:
        yield number, side
    finally:
        proxied.close()


async def answered(number: int, *pieces: bytes, expected: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)  # the server's turn; whether pieces are joined on the way makes no difference
    assert await asyncio.wait_for(reader.readexactly(len(expected)), 10) == expected
    writer.close()


async def refused(number: int, *pieces: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    for piece in pieces:
        writer.write(piece)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


@pytest.mark.parametrize("header", [LINE, BINARY])
async def test_the_header_is_taken_off_and_nothing_else(header: bytes) -> None:
    async with port("127.0.0.0/8") as (number, side):
        await answered(number, header + b"GET /", expected=b"198.51.100.7;GET /")
        await answered(number, header, b"GET /", expected=b"198.51.100.7;GET /")
        await answered(number, *(bytes((byte,)) for byte in header + b"GE"), expected=b"198.51.100.7;GE")
        assert side.refused == 0


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_checks_of_the_balancer_keep_its_address(header: bytes) -> None:
    async with port("127.0.0.1") as (number, _):
        await answered(number, header + b"x", expected=b"None;x")


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", LINE.replace(b"4711", b"x"), b"P\r\n"])
async def test_who_has_to_send_it_and_does_not_is_refused(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "engine")
    async with port("127.0.0.1") as (number, side):
        await refused(number, sent)
        await refused(number, sent)
        assert side.refused == 2
        assert not side.waiting
    (record,) = caplog.records
    assert "127.0.0.1, which `proxy_protocol.trusted` names, was ended" in record.getMessage()
    assert "send-proxy-v2 check-send-proxy" in record.getMessage()


@pytest.mark.parametrize("sent", [LINE, BINARY, LOCAL])
async def test_nobody_else_may_send_it(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "engine")
    async with port("10.0.0.0/8") as (number, side):
        await refused(number, sent)
        assert side.refused == 1
        await answered(number, b"GET /", expected=b"None;GET /")
        assert side.refused == 1
    (record,) = caplog.records
    assert "name it in `proxy_protocol.trusted`" in record.getMessage()


@pytest.mark.parametrize("sent", [b"", b"PRO", BINARY[:20]])
async def test_who_says_too_little_can_be_ended(sent: bytes) -> None:
    async with port("127.0.0.1") as (number, side):
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(sent)
        while not side.waiting:
            await asyncio.sleep(0.001)
        side.waiting[0].abort()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        assert not side.waiting
        writer.close()


async def test_who_leaves_is_forgotten() -> None:
    async with port("127.0.0.1") as (number, side):
        for sent in (b"", b"PRO", LINE):
            _, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(sent)
            writer.close()
            await writer.wait_closed()
        await answered(number, LINE, expected=b"198.51.100.7;")
        while side.waiting:
            await asyncio.sleep(0.001)


async def test_a_full_worker_takes_nobody() -> None:
    async with port("127.0.0.1") as (number, side):
        side.is_full = True
        await refused(number)
        side.is_full = False
        await answered(number, LINE, expected=b"198.51.100.7;")


async def test_tls_begins_behind_the_header() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    client = ssl.create_default_context(cafile=PEM)
    client.check_hostname = False
    async with port("127.0.0.1", context) as (number, side):
        for header in (LINE, BINARY):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(header)
            await writer.start_tls(client)
            writer.write(b"GET /")
            assert await asyncio.wait_for(reader.readexactly(18), 10) == b"198.51.100.7;GET /"
            writer.close()
        # A handshake that fails, or is not begun, harms nobody.
        await refused(number, LINE + b"GET / HTTP/1.1\r\n\r\n")
        assert side.refused == 0
        _, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(LINE)
        while not side.waiting or side.waiting[0].opening is None:  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)
        side.waiting[0].abort()
        while side.waiting:
            await asyncio.sleep(0.001)
        writer.close()
