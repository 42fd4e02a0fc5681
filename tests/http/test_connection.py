"""Deadlines of HTTP connections that no byte moves: for a head, an answer that is not read, and a closed socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from engine.http import connection
from engine.http.application import build_runner
from engine.http.connection import (
    ANSWER_TIMEOUT_S,
    CLOSE_TIMEOUT_S,
    HEAD_TIMEOUT_S,
    HttpConnections,
    connection_options,
)
from engine.metrics.metrics import Metrics
from tests.support.reset import is_reset
from tests.support.waiting import until

#: More than the kernel takes of an answer that nobody reads.
HUGE = b"x" * 30_000_000
MAX_HEAD_BYTES = 4096


class Watched:
    """A server with these connections, and a clock that is turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, streams: bool) -> None:
        self.metrics = Metrics()
        options = connection_options(self.metrics)
        self.connections = HttpConnections(options, MAX_HEAD_BYTES, self.metrics, streams=streams)
        #: A stream goes on by one piece.
        self.on = asyncio.Event()
        self.now_s = 1000
        self.port = 0
        self.requests = 0
        monkeypatch.setattr(connection, "monotonic_s", lambda: self.now_s)

    def later(self, seconds: int) -> None:
        self.now_s += seconds
        self.connections.sweep()

    async def connect(self, data: bytes, rcvbuf: int = 0) -> socket.socket:
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.port))
        before = len(self.connections)
        await loop.sock_sendall(sock, data)
        await until(lambda: len(self.connections) > before - 1)
        return sock

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if request.path == "/stream":
            response = web.StreamResponse()
            await response.prepare(request)
            while await self.on.wait():
                self.on.clear()
                await response.write(HUGE)
        return web.Response(body=HUGE if request.path == "/huge" else b"ok")


@asynccontextmanager
async def watched(monkeypatch: pytest.MonkeyPatch, streams: bool = False) -> AsyncIterator[Watched]:
    made = Watched(monkeypatch, streams)
    application = web.Application()
    application.router.add_get("/{path:.*}", made.serve)
    runner = build_runner(application, made.metrics)
    await runner.setup()
    assert runner.server is not None
    http = runner.server
    server = await asyncio.get_running_loop().create_server(lambda: made.connections.make(http), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.connections.abort(unread_only=False)
        await runner.cleanup()
        await until(lambda: len(made.connections) == 0)


async def test_a_head_has_its_time_and_bytes_do_not_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch) as w:
        with await w.connect(b"GET /x HTTP/1.1\r\nHost: x\r\nX: ") as peer:
            await until(lambda: len(w.connections) == 1)
            for _ in range(HEAD_TIMEOUT_S - 1):
                peer.send(b"a")
                w.later(1)
                await asyncio.sleep(0)
            assert len(w.connections) == 1
            w.later(1)
            await until(lambda: len(w.connections) == 0)


async def test_so_has_a_later_one_on_the_same_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch) as w:
        loop = asyncio.get_running_loop()
        with await w.connect(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n") as peer:
            assert b"200 OK" in await loop.sock_recv(peer, 65536)
            w.later(60)  # between two requests a client may be silent
            assert len(w.connections) == 1
            await loop.sock_sendall(peer, b"GET /x HTTP/1.1\r\nHo")
            await until(lambda: next(iter(w.connections._open))._head_bytes)
            w.later(HEAD_TIMEOUT_S - 1)
            assert len(w.connections) == 1
            w.later(1)
            await until(lambda: len(w.connections) == 0)


async def test_an_answer_that_is_not_read_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch) as w:
        with await w.connect(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n", rcvbuf=4096) as peer:
            await until(lambda: w.requests == 1)
            await until(lambda: next(iter(w.connections._open)).unread)
            w.later(0)
            w.later(ANSWER_TIMEOUT_S - 1)
            assert len(w.connections) == 1
            w.later(1)
            await until(lambda: len(w.connections) == 0)
            await until(lambda: is_reset(peer.fileno()))


async def test_a_stream_goes_on_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch, streams=True) as w:
        with await w.connect(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", rcvbuf=4096) as peer:
            await until(lambda: w.requests == 1)
            one = next(iter(w.connections._open))
            w.on.set()
            await until(lambda: one.unread)
            w.later(0)
            loop = asyncio.get_running_loop()
            while one.unread:
                assert await loop.sock_recv(peer, 1 << 20)
            w.later(ANSWER_TIMEOUT_S - 1)
            w.later(1)
            assert len(w.connections) == 1
            w.on.set()
            await until(lambda: one.unread)
            w.later(0)
            w.later(ANSWER_TIMEOUT_S)
            await until(lambda: len(w.connections) == 0)


async def test_a_socket_that_was_closed_is_not_kept_by_what_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch) as w:
        with await w.connect(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n", rcvbuf=4096) as peer:
            await until(lambda: w.requests == 1)
            one = next(iter(w.connections._open))
            await until(lambda: one.unread)
            one.force_close()
            w.later(CLOSE_TIMEOUT_S - 1)
            assert len(w.connections) == 1
            w.later(1)
            await until(lambda: len(w.connections) == 0)
            await until(lambda: is_reset(peer.fileno()))


async def test_a_drain_ends_those_that_do_not_read_and_waits_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch) as w:
        with (
            await w.connect(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n", rcvbuf=4096),
            await w.connect(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n") as reader,
        ):
            assert b"200 OK" in await asyncio.get_running_loop().sock_recv(reader, 65536)
            await until(lambda: len(w.connections) == 2)
            await until(lambda: any(one.unread for one in w.connections._open))
            w.connections.abort(unread_only=True)
            await until(lambda: len(w.connections) == 1)


async def test_a_head_too_long_is_answered_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(monkeypatch) as w:
        loop = asyncio.get_running_loop()
        with await w.connect(b"GET /x HTTP/1.1\r\nHost: x\r\n") as peer:
            for _ in range(MAX_HEAD_BYTES // 100):
                await loop.sock_sendall(peer, b"X-Line: " + b"y" * 100 + b"\r\n")
                await asyncio.sleep(0)
            answer = await loop.sock_recv(peer, 65536)
            assert answer.startswith(b"HTTP/1.1 431 ")
            assert str(MAX_HEAD_BYTES).encode() in answer
            w.later(CLOSE_TIMEOUT_S)
            await until(lambda: len(w.connections) == 0)
