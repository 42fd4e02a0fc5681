"""The publish fast path and aiohttp answer alike: the same requests, on connections of both, split in any way."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.engine import Engine
from tests.support.signing import signed_query

#: Sent first, it leads the connection to aiohttp, where it stays.
WARM_UP = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
EVENT = {"name": "e", "channels": ["room"], "data": "{}"}


def request(
    body: Any = EVENT, path: str = "/apps/1/events", *, headers: str = "", secret: str = "app-secret", **query: str
) -> bytes:
    """A signed POST. `query` replaces parameters after signing."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = signed_query("app-key", secret, "POST", path, data) | query
    return (
        f"POST {path}?{urlencode(signed)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(data)}\r\n\r\n"
    ).encode() + data


#: What Java's HttpClient and `curl --http2` send with every request.
OFFER = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
BATCH = {"batch": [{"name": "e", "channel": "room", "data": "{}"}, {"name": "f", "channel": "room", "data": ""}]}
REQUESTS: dict[str, Callable[[], bytes]] = {
    "event": request,
    "batch": lambda: request(BATCH, "/apps/1/batch_events"),
    "info": lambda: request(EVENT | {"info": "subscription_count"}),
    "lower-case headers": lambda: request().replace(b"Content-Length", b"content-length"),
    "unknown app": lambda: request(path="/apps/9/events"),
    "unknown key": lambda: request(auth_key="nobody"),
    "bad signature": lambda: request(secret="wrong"),
    "no signature": lambda: re.sub(rb"\?\S*", b"", request(), count=1),
    "old timestamp": lambda: request(auth_timestamp="1000"),
    "bad digest": lambda: request(body_md5=hashlib.md5(b"other").hexdigest()),
    "no JSON": lambda: request(b"{"),
    "no object": lambda: request([1]),
    "empty body": lambda: request(b""),
    "no name": lambda: request({"channel": "room", "data": ""}),
    "no channel": lambda: request({"name": "e", "data": ""}),
    "bad channel": lambda: request({"name": "e", "channel": "a b", "data": ""}),
    "reserved name": lambda: request({"name": "pusher:x", "channel": "room", "data": ""}),
    "too long a name": lambda: request({"name": "e" * 201, "channel": "room", "data": ""}),
    "too much data": lambda: request({"name": "e", "channel": "room", "data": "x" * 103_000}),
    "too many channels": lambda: request({"name": "e", "channels": ["room"] * 101, "data": ""}),
    "too large a batch": lambda: request({"batch": BATCH["batch"] * 6}, "/apps/1/batch_events"),
    "bad socket id": lambda: request(EVENT | {"socket_id": "nonsense"}),
    "close": lambda: request(headers="Connection: close\r\n"),
    "origin": lambda: request(headers="Origin: https://a.example\r\n"),
    "close without a body": lambda: request(b"", headers="Connection: close\r\n"),
    "offer of HTTP/2": lambda: request(headers=OFFER),
    "offer of HTTP/2 without a body": lambda: request(b"", headers=OFFER),
    "offer of HTTP/2, and close": lambda: request(headers=OFFER.replace("Upgrade,", "close, Upgrade,", 1)),
    "no host": lambda: request().replace(b"Host: x\r\n", b""),
    "two hosts": lambda: request(headers="Host: y\r\n"),
    "HTTP/1.0": lambda: request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.0, kept": lambda: request(headers="Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "escaped path": lambda: request(path="/apps/%31/events"),
    # Not the fast path's, though they begin like one of its own.
    "expect": lambda: request(headers="Expect: 100-continue\r\n"),
    "chunked": lambda: re.sub(
        rb"Content-Length: \d+\r\n\r\n(.*)",
        lambda found: b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(found[1]), found[1]),
        request(),
    ),
    "compressed": lambda: request(headers="Content-Encoding: gzip\r\n"),
    "two lengths": lambda: request(headers="Content-Length: 3\r\n"),
    "bad length": lambda: re.sub(rb"Content-Length: \d+", b"Content-Length: many", request()),
    "bad header": lambda: request(headers="no colon\r\n"),
    "terminate": lambda: request({}, "/apps/1/users/u1/terminate_connections"),
    "unknown path": lambda: request(path="/apps/1/nothing"),
    "long head": lambda: request(headers=f"X-Long: {'y' * 9000}\r\n"),
    "other method": lambda: request().replace(b"POST", b"PUT", 1),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_both_paths_answer_alike(engine: Engine, name: str) -> None:
    sent = REQUESTS[name]()
    # The one behind it shows whether the connection stays open.
    fast, slow = _exchange(engine, [sent, WARM_UP]), _exchange(engine, [WARM_UP, sent, WARM_UP])[1:]
    assert fast == slow
    assert fast[0][0] >= 200


def test_offers_of_http_2_are_passed_over(engine: Engine) -> None:
    sent = [request(headers=OFFER), request(b"", headers=OFFER), request(headers=OFFER)]
    answers = _exchange(engine, [b"".join(sent) + request(headers=OFFER)], count=4)
    assert [answer[0] for answer in answers] == [200, 400, 200, 200]


@pytest.mark.parametrize("size", [1, 7, 64, 301])
def test_bytes_may_come_in_any_pieces(engine: Engine, size: int) -> None:
    sent = request() + request(secret="wrong") + request(BATCH, "/apps/1/batch_events")
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert [answer[0] for answer in _exchange(engine, [b""], pieces, 3)] == [200, 401, 200]


def test_pipelined_requests_are_answered_in_order_whoever_answers_them(engine: Engine) -> None:
    names = ["event", "bad signature", "batch", "no JSON", "event", "unknown path", "event", "terminate", "batch"]
    sent = b"".join(REQUESTS[name]() for name in names) + WARM_UP
    statuses = [answer[0] for answer in _exchange(engine, [sent], count=len(names) + 1)]
    assert statuses == [200, 401, 200, 400, 200, 404, 200, 200, 200, 200]


def test_an_upgrade_may_follow_a_publish(engine: Engine) -> None:
    upgrade = (
        b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as peer:
        peer.sendall(request() + upgrade)
        seen = b""
        while b"pusher:connection_established" not in seen:
            received = peer.recv(65536)
            assert received, seen
            seen += received
    assert seen.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 101 Switching Protocols" in seen


def test_many_at_once_keep_their_order(engine: Engine) -> None:
    count = 500
    answers = _exchange(engine, [b"".join(request() for _ in range(count))], count=count)
    assert [answer[0] for answer in answers] == [200] * count


Answer = tuple[int, frozenset[str], bytes]


def _exchange(engine: Engine, requests: list[bytes], pieces: list[bytes] | None = None, count: int = 0) -> list[Answer]:
    """Send one after the other, each after the answer to the one before; the answers, without their dates."""
    answers: list[Answer] = []
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unread = b""
        for sent in requests:
            with suppress(ConnectionError):  # closed after the answer before
                for piece in pieces or [sent]:
                    peer.sendall(piece)
            expected = len(answers) + (count or 1)
            while len(answers) < expected:
                found = _parse(unread)
                if found is None:
                    received = _receive(peer)
                    if not received:
                        return answers
                    unread += received
                    continue
                answer, unread = found
                if answer[0] != 100:
                    answers.append(answer)
    return answers


def _receive(peer: socket.socket) -> bytes:
    try:
        return peer.recv(65536)
    except ConnectionResetError:
        return b""


def _parse(data: bytes) -> tuple[Answer, bytes] | None:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode().split("\r\n")
    headers = {line.lower() for line in lines if not line.lower().startswith("date:")}
    length = next((int(line.split(":")[1]) for line in headers if line.startswith("content-length:")), 0)
    if len(rest) < length:
        return None
    return (int(first.split()[1]), frozenset(headers), rest[:length]), rest[length:]
