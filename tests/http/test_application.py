"""The API over real sockets: the official Python library, and whatever else may be sent to an open port."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pusher
import pytest
from aiohttp import ClientSession

from engine.config.limits import RateLimit
from engine.config.server import CorsConfig, HttpApiConfig
from engine.http import application
from tests.http.serving import SECRET, Serving, make_app
from tests.support.waiting import PATIENCE_S

EVENT = b'{"name":"e","data":"d","channel":"a"}'
SMALL = HttpApiConfig(request_limit_in_mb=0.01)  # 10,485 bytes


def serve(serving: Serving, scenario: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with serving.served() as port:
            await scenario(port)

    asyncio.run(run())


async def raw(port: int, request: bytes, *more: bytes) -> bytes:
    """Send bytes (in pieces), and give everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in (request, *more):
        writer.write(piece)
        await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    finally:
        writer.close()
        await writer.wait_closed()


def request(serving: Serving, body: bytes = EVENT, *headers: str, path: str = "/apps/3/events") -> bytes:
    """A signed POST that closes its connection."""
    target = serving.target("POST", path, body)
    lines = (f"POST {target} HTTP/1.1", "Host: x", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def with_length(serving: Serving, body: bytes = EVENT, *headers: str) -> bytes:
    return request(serving, body, f"Content-Length: {len(body)}", *headers)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


# --- the official library


def sdk(port: int, **options: Any) -> pusher.Pusher:
    return pusher.Pusher("3", "key", SECRET, host="127.0.0.1", port=port, ssl=False, **options)


def test_the_python_library() -> None:
    serving = Serving(now_s=None)

    def use(port: int) -> None:
        client = sdk(port)
        assert client.trigger(["a", "private-b"], "e", {"x": "☃"}, socket_id="1.2") == {}
        assert client.trigger_batch([{"channel": "c", "name": "e", "data": "d"}]) == {}
        assert client.send_to_user("u1", "e", "d") == {}
        assert client.channels_info("presence-", ["user_count"]) == {"channels": {"presence-a": {"user_count": 2}}}
        assert client.channel_info("presence-a", ["user_count", "subscription_count"]) == {
            "occupied": True,
            "user_count": 2,
            "subscription_count": 3,
        }
        users = client.users_info("presence-a")["users"]
        assert sorted(user["id"] for user in users) == ["u1", "u2"]
        assert client.terminate_user_connections("u1") == {}
        with pytest.raises(pusher.errors.PusherBadRequest, match="invalid_input"):
            client.trigger("a", "pusher:e", "d")
        with pytest.raises(pusher.errors.PusherBadAuth):
            pusher.Pusher("3", "key", "guessed", host="127.0.0.1", port=port, ssl=False).trigger("a", "e", "d")
        with pytest.raises(pusher.errors.PusherBadStatus, match="app_not_found"):
            pusher.Pusher("4", "key", SECRET, host="127.0.0.1", port=port, ssl=False).trigger("a", "e", "d")

    serving.occupy("presence-a", 3, "u1", "u2")
    serve(serving, lambda port: asyncio.to_thread(use, port))
    assert serving.adapter.sent == [
        ("a", "e", '{"x": "☃"}', "1.2"),
        ("private-b", "e", '{"x": "☃"}', "1.2"),
        ("c", "e", "d", ""),
        ("#server-to-user-u1", "e", "d", ""),
    ]
    assert serving.adapter.terminated == [("3", "u1")]


def test_a_disabled_app_is_forbidden_to_the_python_library() -> None:
    def use(port: int) -> None:
        with pytest.raises(pusher.errors.PusherForbidden):
            sdk(port).trigger("a", "e", "d")

    serve(Serving(make_app(enabled=False), now_s=None), lambda port: asyncio.to_thread(use, port))


# --- HTTP as such


async def test_connections_are_kept_and_answers_are_plain_json() -> None:
    async with Serving().served() as port:
        ask = b"GET /apps/3/channels HTTP/1.1\r\nHost: x\r\n"
        answers = await raw(port, ask + b"\r\n", ask + b"\r\n", ask + b"Connection: close\r\n\r\n")
        first, second, third = answers.split(b"HTTP/1.1 ")[1:]
        for answer in (first, second, third):
            assert answer.startswith(b"401 ")
            assert b"\r\nContent-Type: application/json\r\n" in answer
            assert b"\r\nServer: engine\r\n" in answer
            assert body_of(answer)["code"] == "auth_failed"


async def test_preflights_and_cross_origin_headers() -> None:
    serving = Serving(cors=CorsConfig(origin=("https://a.example",)))
    async with serving.served() as port, ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.options("/apps/3/channels", headers={"Origin": "https://a.example"}) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
            assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
        async with session.get("/up", headers={"Origin": "https://a.example"}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        async with session.get("/up", headers={"Origin": "https://b.example"}) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_head_has_no_body() -> None:
    async with Serving().served() as port:
        answer = await raw(port, b"HEAD /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status(answer) == 200
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("pieces", [1, 7])
async def test_bodies_in_chunks(pieces: int) -> None:
    serving = Serving()
    async with serving.served() as port:
        head = request(serving, EVENT, "Transfer-Encoding: chunked")[: -len(EVENT)]
        parts = (
            [EVENT[n::pieces] for n in range(pieces)] if pieces == 1 else [EVENT[n : n + 7] for n in range(0, 99, 7)]
        )
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part]
        answer = await raw(port, head, *chunks, b"0\r\n\r\n")
        assert (status(answer), body_of(answer)) == (200, {})
    assert len(serving.adapter.sent) == 1


async def test_a_caller_that_waits_for_100_continue_gets_it() -> None:
    serving = Serving()
    async with serving.served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = with_length(serving, EVENT, "Expect: 100-continue")
        writer.write(whole[: -len(EVENT)])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(EVENT)
        answer = await reader.read()
        assert (status(answer), body_of(answer)) == (200, {})
        writer.close()
        await writer.wait_closed()


async def test_a_caller_that_expects_something_else() -> None:
    serving = Serving()
    async with serving.served() as port:
        answer = await raw(port, with_length(serving, EVENT, "Expect: wonders"))
        assert (status(answer), body_of(answer)["status"]) == (417, 417)
    assert serving.adapter.sent == []


async def test_compressed_bodies_are_refused_unopened() -> None:
    serving = Serving()
    async with serving.served() as port:
        for body in (gzip.compress(EVENT), b"no gzip at all"):
            answer = await raw(port, with_length(serving, body, "Content-Encoding: gzip"))
            assert (status(answer), body_of(answer)["status"]) == (415, 415)


@pytest.mark.parametrize("how", ["announced", "expecting", "chunked"])
async def test_bodies_that_are_too_large(how: str) -> None:
    serving = Serving(config=SMALL)
    body = b"x" * 20_000
    async with serving.served() as port:
        if how == "announced":
            sent = with_length(serving, body)
        elif how == "expecting":
            sent = with_length(serving, body, "Expect: 100-continue")[: -len(body)]
        else:
            head = request(serving, body, "Transfer-Encoding: chunked")[: -len(body)]
            sent = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        answer = await raw(port, sent)
        assert (status(answer), body_of(answer)["code"]) == (413, "payload_too_large")
    assert serving.adapter.sent == []


async def test_the_largest_body_passes() -> None:
    serving = Serving(config=SMALL)
    event = b'{"name":"e","channel":"a","data":"%s"}' % (b"x" * (SMALL.request_limit_bytes - 36))
    assert len(event) == SMALL.request_limit_bytes
    async with serving.served() as port:
        assert status(await raw(port, with_length(serving, event))) == 200


async def test_a_body_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "BODY_TIMEOUT_S", 0.05)
    serving = Serving()
    async with serving.served() as port:
        answer = await raw(port, with_length(serving)[:-1])
        assert (status(answer), body_of(answer)["status"]) == (408, 408)


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /up HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /up HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /up HTTP/1.1\r\n" + b"A: 1\r\n" * 500 + b"\r\n",
        b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:70]),
)
async def test_what_is_no_http_is_refused_and_not_logged(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with Serving().served() as port:
            answer = await raw(port, sent + (b"" if sent.startswith(b"POST") else b"GET /live HTTP/1.0\r\n\r\n"))
            assert not answer or 400 <= status(answer) < 500 or answer.startswith(b"HTTP/1.0 200"), answer
            assert status(await raw(port, b"GET /live HTTP/1.0\r\n\r\n")) == 200
    assert caplog.records == []


async def test_what_is_no_http_is_counted() -> None:
    serving = Serving()
    async with serving.served() as port:
        assert status(await raw(port, b"GET /up HTTP/1.1\r\nno colon\r\n\r\n")) == 400
    assert serving.metrics.value("http_errors_total", "", "400") == 1


@pytest.mark.parametrize("keep", [0, 20, -1])
async def test_callers_that_go_away_are_no_news(keep: int, caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving()
    with caplog.at_level(logging.INFO):
        async with serving.served() as port:
            whole = with_length(serving)
            for sent in (whole[:keep], request(serving, b"", "Transfer-Encoding: chunked") + b"9\r\n123"):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                await writer.drain()
                writer.transport.abort()
            assert status(await raw(port, with_length(serving))) == 200
    assert caplog.records == []
    assert len(serving.adapter.sent) == 1


@pytest.mark.parametrize(
    "target",
    [
        "/nothing",
        "//nothing",
        "/apps/%ff/events",
        "/apps/3/events%0A",
        "/../../etc/passwd",
        "/apps/3/%2e%2e/events",
        "http://x/nothing",
        "/%",
        "/ä",
        "/?%ff=%00&auth_key",
        "*",
    ],
)
async def test_odd_paths(target: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with Serving().served() as port:
            for method in ("GET", "POST", "DELETE"):
                answer = await raw(port, f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                assert status(answer) in (200, 400, 404, 405)
    assert caplog.records == []


async def test_a_path_with_host() -> None:
    serving = Serving()
    async with serving.served() as port:
        sent = with_length(serving).replace(b"POST /", f"POST http://127.0.0.1:{port}/".encode(), 1)
        assert status(await raw(port, sent)) == 200


async def test_one_address_is_limited_behind_a_proxy() -> None:
    limit = RateLimit(max_requests=2, window_seconds=60, trust_hops=1)
    async with Serving(limit=limit).served() as port, ClientSession(f"http://127.0.0.1:{port}") as session:

        async def ask(address: str) -> int:
            async with session.get("/apps/3/channels", headers={"X-Forwarded-For": address}) as answer:
                return answer.status

        assert [await ask("192.0.2.1") for _ in range(3)] == [401, 401, 429]
        assert await ask("9.9.9.9, 192.0.2.1") == 429
        assert await ask("192.0.2.2") == 401
