"""The console's port: who may hold a connection, for how long, and what a stranger can make the log say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.console.port import ConsolePort
from engine.console.server import ConsoleServer
from engine.console.sessions import Sessions
from engine.http import connection
from engine.protocol.address import Networks
from engine.protocol.forwarded import Callers
from tests.support.waiting import until

JSON = b"Host: x\r\nContent-Type: application/json\r\n"


class Served:
    """A console's port, and the sockets of those who come."""

    def __init__(self, port: ConsolePort, number: int) -> None:
        self.port = port
        self._number = number

    async def connect(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._number)
        writer.write(data)
        return reader, writer

    async def ask(self, data: bytes) -> bytes:
        """The first line of the answer."""
        reader, writer = await self.connect(data)
        try:
            return await reader.readline()
        finally:
            writer.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async def wait(_: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def tick(_: dict[str, str]) -> AsyncIterator[bytes]:
        while True:
            yield b"{}"
            await asyncio.sleep(0.01)

    calls, streams = {"wait": wait}, {"tick": tick}
    server = ConsoleServer(Sessions("correct horse battery"), Callers(Networks([])), calls, {}, streams)
    listening = socket.create_server(("127.0.0.1", 0))
    number = listening.getsockname()[1]
    port = ConsolePort(server.application, listening)
    await port.start()
    yield Served(port, number)
    await port.stop()
    await until(lambda: len(port) == 0)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /api/login HTTP/1.1\r\nOrigin: http://[\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}",
        b"POST /api/login HTTP/1.1\r\nContent-Encoding: gzip\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}",
        b"POST /api/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + JSON + b"\r\nZZ\r\n",
        b"POST /api/logout HTTP/1.1\r\nX-CSRF-Token: \xff\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: \x1b[31m\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_nobody_makes_it_log_what_he_likes(
    served: Served, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = await served.ask(request_)
    assert answer.split()[1][:1] == b"4", answer
    assert caplog.records == []


async def test_a_head_that_does_not_end_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await served.connect(b"GET / HTTP/1.1\r\nHost: ")
    await until(lambda: len(served.port) == 1)
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    await until(lambda: len(served.port) == 0)


async def test_whoever_holds_connections_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    """The oldest that asks nothing makes room, and none that is being answered."""
    limit = 4
    monkeypatch.setattr(served.port._connections, "_max_open", limit)
    session = b"".join(await _log_in(served))
    async with asyncio.timeout(20):
        answered, _ = asking = await served.connect(b"GET /api/wait HTTP/1.1\r\nHost: x\r\n" + session + b"\r\n")
        await asyncio.sleep(0)
        starts = (b"GET / HT", b"POST /api/login HTTP/1.1\r\n" + JSON + b"Content-Length: 9\r\n\r\n{")
        held = [await served.connect(starts[number % 2]) for number in range(3 * limit)]
        assert await served.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b"HTTP/1.1 200 OK\r\n"
        for reader, _ in held[: 2 * limit]:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
    assert len(served.port) <= limit
    assert not answered.at_eof()
    for _, writer in (asking, *held):
        writer.close()


async def test_a_stream_ends_with_its_client(served: Served) -> None:
    """Which says no more than that it has nothing more to say."""
    session = b"".join(await _log_in(served))
    reader, writer = await served.connect(b"GET /api/tick HTTP/1.1\r\nHost: x\r\n" + session + b"\r\n")
    async with asyncio.timeout(20):
        assert b"200 OK" in await reader.readline()
        await reader.readuntil(b"data: {}")
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()


async def _log_in(served: Served) -> list[bytes]:
    body = b'{"password":"correct horse battery"}'
    reader, writer = await served.connect(
        b"POST /api/login HTTP/1.1\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    writer.close()
    cookie = next(line for line in head if line.lower().startswith(b"set-cookie: "))
    return [b"Cookie: " + cookie.partition(b": ")[2].partition(b";")[0] + b"\r\n"]
