"""Paths, heads and half-closed connections as clients and proxies really send them, on every road of the one port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.signing import signed_query
from tests.support.waiting import until

UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: x\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: `http_api.request_head_limit_in_kb` in bytes.
LIMIT = 16 * 1024


@pytest.fixture(scope="module")
def prefixed() -> Iterator[Engine]:
    with running({"path_prefix": "/chat"}) as started:
        yield started


@pytest.fixture(scope="module")
def strict() -> Iterator[Engine]:
    with running(
        {"path_prefix": "/chat", "http_api": {"without_prefix": False, "request_head_limit_in_kb": 1}}
    ) as started:
        yield started


def exchange(engine: Engine, request: bytes, half_close: bool = False) -> bytes:
    """All that is answered until the server closes, or until the first answer is whole."""
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as peer:
        peer.sendall(request)
        if half_close:
            peer.shutdown(socket.SHUT_WR)
        answer = b""
        while part := peer.recv(65536):
            answer += part
            if not half_close and b"\r\n\r\n" in answer:
                break
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(maxsplit=2)[1])


def api(engine: Engine, path: str) -> int:
    """The status of a signed read at that path."""
    query = urlencode(signed_query(APP["key"], APP["secret"], "GET", path))
    return engine.raw("GET", f"{path}?{query}").status


# --- paths


@pytest.mark.parametrize("path", ["/app/app-key", "//app/app-key", "/app//app-key", "///app/app-key?protocol=7"])
async def test_doubled_slashes_are_one(engine: Engine, path: str) -> None:
    answer = await asyncio.to_thread(exchange, engine, UPGRADE.format(path, "").encode())
    assert status(answer) == 101


@pytest.mark.parametrize("path", ["/", "/nonsense", "/app", "/app/", "/app/app-key/more", "/apps/1/events", "/ready"])
def test_a_path_without_websockets_is_told_on_an_open_one(engine: Engine, path: str) -> None:
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as peer:
        peer.sendall(UPGRADE.format(path, "").encode())
        answer = b""
        while b"\x0f\xa5" not in answer:  # 4005 in the close frame
            part = peer.recv(65536)
            assert part, answer
            answer += part
        assert status(answer) == 101
        assert b'"code":4005' in answer


def test_the_api_takes_doubled_slashes(engine: Engine) -> None:
    assert [api(engine, path) for path in ("/apps/1/channels", "//apps/1/channels", "///apps/1/channels")] == [200] * 3


async def test_with_a_prefix_the_api_is_served_without_it_too(prefixed: Engine) -> None:
    for path in ("/chat/apps/1/channels", "/apps/1/channels", "/chat//apps/1/channels", "//chat/apps/1/channels"):
        assert await asyncio.to_thread(api, prefixed, path) == 200
    async with connected(f"{prefixed.ws_url}/chat") as client:
        await client.subscribe("room")
        await asyncio.to_thread(prefixed.trigger, "room", "without-prefix")
        await client.next("without-prefix")
    async with connected(prefixed.ws_url, wait=False) as client:
        assert (await client.next("pusher:error"))["data"]["code"] == 4005


def test_unless_that_is_switched_off(strict: Engine) -> None:
    assert api(strict, "/chat/apps/1/channels") == 200
    assert api(strict, "/apps/1/channels") == 404
    assert api(strict, "/chatty/apps/1/channels") == 404


# --- heads


def padded(request: str, size: int) -> bytes:
    """The request with as many cookies as make its head that long."""
    empty = request.format("")
    lines = []
    missing = size - len(empty)
    while missing:
        line = min(missing, 1000)
        if 0 < missing - line < 20:
            line -= 20
        lines.append("Cookie: " + "x" * (line - 10) + "\r\n")
        missing -= line
    found = request.format("".join(lines)).encode()
    assert len(found) == size
    return found


ROADS = {
    "websocket": UPGRADE.format("/app/app-key", "{}"),
    "websocket on another path": UPGRADE.format("//app/app-key", "{}"),
    "api": "GET /ready HTTP/1.1\r\nHost: x\r\n{}\r\n",
    "publish": "POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{}\r\n",
}


@pytest.mark.parametrize("road", ROADS)
def test_heads_up_to_the_limit_are_read(engine: Engine, road: str) -> None:
    body = b"{}" if road == "publish" else b""
    assert status(exchange(engine, padded(ROADS[road], LIMIT - 100) + body)) in (101, 200, 401)


@pytest.mark.parametrize("road", ROADS)
async def test_longer_heads_are_431_and_counted(engine: Engine, road: str) -> None:
    def refused() -> float:
        page = engine.metrics().splitlines()
        return sum(
            float(line.split()[-1])
            for line in page
            if ('status="431"' in line and "http_errors_total" in line)
            or ('error_type="head"' in line and "connection_errors_total" in line)
        )

    before = refused()
    for size in (LIMIT + 200, 3 * LIMIT):
        answer = await asyncio.to_thread(exchange, engine, padded(ROADS[road], size))
        assert status(answer) == 431
        assert str(LIMIT).encode() in answer
    await until(lambda: refused() == before + 2)


def test_the_limit_is_an_option(strict: Engine) -> None:
    long = padded(UPGRADE.format("/chat/app/app-key", "{}"), 1500)
    assert status(exchange(strict, long)) == 431
    assert status(exchange(strict, padded(ROADS["api"], 1500))) == 431


# --- half-closed connections


@pytest.mark.parametrize("path", ["/ready", "/up", "/nonsense", "/apps/1/channels", "/"])
def test_a_client_that_only_has_no_more_to_say_is_answered(engine: Engine, path: str) -> None:
    query = urlencode(signed_query(APP["key"], APP["secret"], "GET", path))
    request = f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    assert status(exchange(engine, request, half_close=True)) == (404 if path == "/nonsense" else 200)
    both = exchange(engine, request + request, half_close=True)
    assert both.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize(
    "part", [b"GET /ready HTTP/1.1\r\nHo", b"GET ", b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"]
)
def test_half_a_request_is_not(engine: Engine, part: bytes) -> None:
    assert exchange(engine, part, half_close=True) == b""


# --- bodies of strangers


@pytest.mark.parametrize("path", ["/apps/nobody/events", "/apps/1/events", "/apps/1/users/a/terminate_connections"])
def test_no_body_is_waited_for_when_the_head_is_enough(engine: Engine, path: str) -> None:
    """On aiohttp's road, which chunks and `Expect` lead to."""
    for more in ("Transfer-Encoding: chunked\r\n", "Content-Length: 9000000\r\nExpect: 100-continue\r\n"):
        answer = exchange(engine, f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        assert status(answer) == (404 if "nobody" in path else 401)


def test_a_subprotocol_that_is_no_token_is_not_echoed(engine: Engine, unique: Callable[[str], str]) -> None:
    for name in (b"\xff", b"a b", b"a,b", b"", b"pusher"):
        request = UPGRADE.format("/app/app-key", "Sec-WebSocket-Protocol: ~\r\n").encode().replace(b"~", name)
        answer = exchange(engine, request)
        assert status(answer) == 101
        told = [line for line in answer.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Protocol")]
        assert told == ([b"Sec-WebSocket-Protocol: " + name[:1]] if name == b"a,b" else []) or name == b"pusher"
    assert "Traceback" not in engine.log()
