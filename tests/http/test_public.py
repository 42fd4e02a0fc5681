"""The main port where the HTTP API has an address of its own: health pages as ever, and no route of the API."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import ClientSession

from engine.config.limits import RateLimit
from engine.config.server import HttpApiConfig
from engine.http.public import PublicApi
from tests.http.serving import Serving

PAGES = ("/", "/live", "/ready", "/up", "/up/3", "/accept-traffic", "/usage")


@pytest.mark.parametrize("path", PAGES)
def test_balancers_get_their_pages(path: str) -> None:
    serving = Serving()
    answer = asyncio.run(PublicApi(serving.api).handle("GET", path.encode(), b""))
    assert answer.status == serving.call("GET", path).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/apps/3/events"),
        ("POST", "/apps/3/batch_events"),
        ("GET", "/apps/3/channels"),
        ("GET", "/apps/3/channels/a/history"),
        ("POST", "/apps/3/users/u/terminate_connections"),
        ("POST", "/users/u/terminate_connections"),
        ("POST", "//apps/3/events"),
        ("OPTIONS", "/apps/3/events"),
        ("POST", "/apps/3/nothing"),
    ],
)
def test_routes_of_the_api_are_not_there(method: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving()
    body = b'{"name":"e","data":"d","channel":"a"}' if method == "POST" else b""
    target = serving.target(method, path, body).encode()
    with caplog.at_level(logging.INFO):
        answers = [asyncio.run(PublicApi(serving.api).handle(method, target, body)) for _ in range(2)]
    assert {answer.status for answer in answers} == {404}
    assert b"an address of its own" in answers[0].body
    assert not serving.adapter.sent
    assert "http_api.unix_socket" in caplog.text and serving.app.secret not in caplog.text


def test_the_prefix_is_known() -> None:
    serving = Serving(path_prefix="/chat", config=HttpApiConfig(without_prefix=False))
    public = PublicApi(serving.api)
    assert public.refuse("POST", b"/chat/apps/3/events", 1) is not None
    assert b"There is nothing" in asyncio.run(public.handle("POST", b"/apps/3/events", b"")).body
    assert asyncio.run(public.handle("GET", b"/ready", b"")).status == 200


async def test_no_large_body_is_read_for_it() -> None:
    """Not even where requests of an address are limited, which counts them before anything is refused."""
    serving = Serving(limit=RateLimit(enabled=True, max_requests=1, window_seconds=60))
    async with serving.served(PublicApi(serving.api)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert b" 404 " in await reader.readline()
        writer.close()
        async with ClientSession() as session:
            for _ in range(3):
                async with session.get(f"http://127.0.0.1:{port}/ready") as answer:
                    assert answer.status == 200
                async with session.post(f"http://127.0.0.1:{port}/apps/3/events", data=b"x" * 100) as answer:
                    assert answer.status == 404
