"""Malformed and hostile input of every kind: an answer to that peer, nothing in the log, and everybody else served."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.engine import NOISE, Engine

HANDSHAKE = (
    b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
DEEP = "[" * 20_000 + "]" * 20_000

#: Text messages that no client of ours sends. The connection stays open: the next ping is answered.
MESSAGES = [
    "",
    " ",
    "null",
    "17",
    "[]",
    '"text"',
    "{",
    "{}",
    "\x00",
    DEEP,
    '{"event":' + DEEP + "}",
    '{"event":null}',
    '{"event":17,"data":{}}',
    '{"event":"","data":{}}',
    '{"event":"pusher:nonsense","data":{}}',
    '{"event":"pusher_internal:member_added","channel":"presence-x","data":"{}"}',
    '{"event":"pusher:subscribe"}',
    '{"event":"pusher:subscribe","data":null}',
    '{"event":"pusher:subscribe","data":[]}',
    '{"event":"pusher:subscribe","data":"{\\"channel\\":\\"a\\"}"}',
    '{"event":"pusher:subscribe","data":{"channel":null}}',
    '{"event":"pusher:subscribe","data":{"channel":{}}}',
    '{"event":"pusher:subscribe","data":{"channel":""}}',
    '{"event":"pusher:subscribe","data":{"channel":"spaces are illegal"}}',
    '{"event":"pusher:subscribe","data":{"channel":"' + "x" * 5000 + '"}}',
    '{"event":"pusher:subscribe","data":{"channel":"\\ud800"}}',
    '{"event":"pusher:subscribe","data":{"channel":"#server-to-user-ada"}}',
    '{"event":"pusher:subscribe","data":{"channel":"private-a","auth":17}}',
    '{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"nonsense"}}',
    '{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"app-key:zoë"}}',
    '{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"app-key:00","channel_data":17}}',
    '{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"app-key:00","channel_data":"{"}}',
    '{"event":"pusher:unsubscribe"}',
    '{"event":"pusher:unsubscribe","data":{"channel":"never-joined"}}',
    '{"event":"pusher:unsubscribe","data":{"channel":17}}',
    '{"event":"pusher:pong"}',
    '{"event":"pusher:ping"}',
    '{"event":"pusher:ping","data":17,"channel":17}',
    '{"event":"client-x"}',
    '{"event":"client-x","channel":"public","data":{}}',
    '{"event":"client-x","channel":17,"data":{}}',
    '{"event":"client-x","channel":"private-never-joined","data":{}}',
    '{"event":"client-' + "x" * 5000 + '","channel":"private-a","data":{}}',
]

#: Raw bytes after a good handshake that break the WebSocket protocol itself. The connection may be closed.
FRAMES = [
    b"\xc1\x80\x00\x00\x00\x00",  # reserved bit
    b"\x83\x80\x00\x00\x00\x00",  # reserved opcode
    b"\x81\x05hello",  # not masked
    b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # text that is not UTF-8
    b"\x81\xff" + struct.pack(">Q", 2**63) + b"\x00" * 4,  # a length that nobody has
    b"\x81\xff" + struct.pack(">Q", 2**31) + b"\x00" * 4,
    b"\x80\x80\x00\x00\x00\x00",  # continuation of nothing
    b"\x01\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00",  # a message within a fragmented one
    b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126,  # a ping longer than pings may be
    b"\x88\x81\x00\x00\x00\x00\x03",  # half a close code
    b"\x88\x82\x00\x00\x00\x00\x03\xec",  # a close code that must not be sent
    b"\x82\x82\x00\x00\x00\x00{}",  # binary
    os.urandom(512),
]

#: What comes instead of a good request, and the status of its answer; None where the connection is just closed, at the
#: latest when we close our half of it.
REQUESTS: list[tuple[bytes, int | None]] = [
    (b"\r\n\r\n", None),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x99" * 64, 400),  # TLS where plain HTTP is spoken
    (b"GET\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n\r\n", 400),
    (b"GET /app/app-key HTTP/1.1\r\nHost: x\r\n\r\n", 426),  # no upgrade
    (HANDSHAKE.replace(b"Version: 13", b"Version: 8"), 426),
    (b"POST /app/app-key HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
    (HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: carrier-pigeon"), 400),
    (HANDSHAKE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
    (HANDSHAKE.replace(b"GET /app/app-key", b"GET /app/" + b"k" * 20_000), 431),
    (HANDSHAKE.replace(b"Host: x", b"Host: x\r\nX: " + b"y" * 100_000), 431),
    (HANDSHAKE[:-20], None),
    (b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n{}", 400),
    (b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}", 400),
    (b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{}", 413),
    (b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{}", None),
    (b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
    (
        b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (b"POST /apps/1/events?auth_key=app-key HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 401),
    (b"POST /apps/1/events?%zz=%&=&&a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 401),
    (b"GET /apps/1/channels/%00%ff/users HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"BREW /apps/1/events HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET " + b"/x" * 40_000 + b" HTTP/1.1\r\n\r\n", 431),
]

#: Signed bodies of POST /events that are not what they should be, with the status they are answered with.
BODIES: list[tuple[Any, int]] = [
    ([], 400),
    ("text", 400),
    ({}, 400),
    ({"name": "n", "data": "d"}, 400),
    ({"name": "n", "data": "d", "channels": []}, 400),
    ({"name": "n", "data": "d", "channels": "a"}, 400),
    ({"name": "n", "data": "d", "channels": [17]}, 400),
    ({"name": "n", "data": "d", "channels": ["a b"]}, 400),
    ({"name": "n", "data": "d", "channels": [f"c{n}" for n in range(101)]}, 400),
    ({"name": "", "data": "d", "channels": ["a"]}, 400),
    ({"name": 17, "data": "d", "channels": ["a"]}, 400),
    ({"name": "n" * 201, "data": "d", "channels": ["a"]}, 400),
    ({"name": "pusher:error", "data": "d", "channels": ["a"]}, 400),
    ({"name": "n", "channels": ["a"]}, 400),
    ({"name": "n", "data": "d", "channels": ["a"], "socket_id": "nobody"}, 400),
    ({"name": "n", "data": "d" * 200_000, "channels": ["a"]}, 413),
]


@pytest.fixture(autouse=True)
def _served_and_quiet(engine: Engine) -> Iterator[None]:
    """After each test somebody else is still served, by the same processes, and the log has nothing to say."""
    before = engine.processes()
    yield
    asyncio.run(_somebody_else(engine))
    assert engine.processes() == before
    assert [line for line in engine.log().splitlines() if NOISE.search(line)] == []


async def test_messages_of_every_kind(engine: Engine, unique: Callable[[str], str]) -> None:
    async with connected(engine.ws_url) as client:
        for message in MESSAGES:
            await client.send_text(message)
            await client.settle()
        await client.subscribe(unique("still-works"))


async def test_huge_messages_are_refused(engine: Engine) -> None:
    async with connected(engine.ws_url) as client:
        await client.send("client-huge", "x" * 100_000, "private-a")
        assert await client.wait_closed() == 1009


def test_frames_of_every_kind(engine: Engine) -> None:
    for frame in FRAMES:
        with socket.create_connection(("127.0.0.1", engine.port), timeout=5) as peer:
            peer.sendall(HANDSHAKE)
            assert peer.recv(65536).startswith(b"HTTP/1.1 101"), frame
            peer.sendall(frame)
            peer.shutdown(socket.SHUT_WR)
            _read_to_end(peer)


@pytest.mark.parametrize(("request_bytes", "status"), REQUESTS, ids=lambda value: str(value)[:60])
def test_requests_of_every_kind(engine: Engine, request_bytes: bytes, status: int | None) -> None:
    with socket.create_connection(("127.0.0.1", engine.port), timeout=5) as peer:
        try:
            peer.sendall(request_bytes)
            if status is None:
                peer.shutdown(socket.SHUT_WR)
                assert _read_to_end(peer) == b""
            else:
                assert peer.recv(65536).split(maxsplit=2)[1] == str(status).encode()
        except (BrokenPipeError, ConnectionResetError):
            assert status is None, "an answer, before the connection is closed"


def test_silent_peers_hold_nobody_up(engine: Engine) -> None:
    """Connections that say nothing, or half of something, and stay."""
    peers = [socket.create_connection(("127.0.0.1", engine.port), timeout=5) for _ in range(60)]
    try:
        for n, peer in enumerate(peers):
            peer.sendall(HANDSHAKE[: n * 3])
        asyncio.run(_somebody_else(engine))
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize(("body", "status"), BODIES, ids=lambda value: json.dumps(value)[:40])
def test_bodies_of_every_kind(engine: Engine, body: Any, status: int) -> None:
    answer = engine.request("POST", "/events", body)
    assert answer.status == status, answer
    assert answer.json["status"] == status
    assert answer.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/apps/1/events", 405),
        ("GET", "/apps/99/channels", 404),
        ("GET", "/apps/1/nonsense", 404),
        ("GET", "/nonsense", 404),
        ("GET", "/apps/1/channels", 401),
        ("POST", "/apps/1/users/ada/terminate_connections", 401),
    ],
)
def test_requests_without_a_right_to_it(engine: Engine, method: str, path: str, status: int) -> None:
    answer = engine.raw(method, path)
    assert answer.status == status
    assert answer.json["error"]


async def _somebody_else(engine: Engine) -> None:
    async with connected(engine.ws_url) as client:
        await client.subscribe("somebody-else")
        await asyncio.to_thread(engine.trigger, "somebody-else", "served")
        await client.next("served")


def _read_to_end(peer: socket.socket) -> bytes:
    """Everything until the other side closes, which it must: a time-out fails the test."""
    found = b""
    try:
        while part := peer.recv(65536):
            found += part
    except ConnectionResetError:
        return found
    return found
