"""The console over HTTP: who is let in, what a browser is forbidden, and what is answered."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.console import server as module
from engine.console.server import COOKIE, CSRF_HEADER, STATIC, ConsoleServer
from engine.console.sessions import IDLE_S, MAX_FAILURES, SESSION_S, Sessions
from engine.errors import ApiError, StoreUnavailable
from engine.protocol.address import Networks
from engine.protocol.forwarded import Callers
from tests.support.waiting import PATIENCE_S, until

PASSWORD = "correct horse battery"


class Site:
    """A console on a free port, and a browser's part in it. :ivar later_s: how much later than it is its clock is."""

    later_s = 0.0

    def __init__(self, url: str, client: aiohttp.ClientSession, streams: list[str]) -> None:
        self.url = url
        self.client = client
        self.streams = streams
        self.csrf = ""

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        async with self.client.get(f"{self.url}{path}", headers=headers) as answer:
            await answer.read()
            return answer

    async def post(self, path: str, body: Any = None, **headers: str) -> aiohttp.ClientResponse:
        shown = {CSRF_HEADER: self.csrf} if self.csrf else {}
        async with self.client.post(f"{self.url}{path}", json=body or {}, headers=shown | headers) as answer:
            await answer.read()
            return answer

    async def log_in(self, password: str = PASSWORD, **headers: str) -> aiohttp.ClientResponse:
        answer = await self.post("/api/login", {"password": password}, **headers)
        if answer.status == 200:
            self.csrf = (await answer.json())["csrf"]
        return answer


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    streams: list[str] = []
    made: list[Site] = []

    async def read(asked: dict[str, Any]) -> dict[str, Any]:
        match asked.get("how"):
            case "refused":
                raise ApiError(404, "unknown_app", "there is no such application")
            case "away":
                raise StoreUnavailable("Redis is away")
            case "never":
                await asyncio.Event().wait()
            case "broken":
                raise RuntimeError("app-secret")
        return {"asked": asked}

    async def count(asked: dict[str, Any]) -> AsyncIterator[bytes]:
        streams.append("open")
        try:
            for n in range(10_000_000):
                yield b"%d" % n
                await asyncio.sleep(0.001)
        finally:
            streams.append("closed")

    async def much(asked: dict[str, Any]) -> AsyncIterator[bytes]:
        async for _ in count(asked):
            yield b"0" * 1_000_000

    server = ConsoleServer(
        Sessions(PASSWORD, lambda: time.monotonic() + (made[0].later_s if made else 0.0)),
        Callers(Networks(["127.0.0.1"])),
        reads={"session": read, "read": read},
        acts={"act": read},
        streams={"count": count, "much": much},
    )
    runner = web.AppRunner(server.application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        made.append(Site(f"http://127.0.0.1:{port}", client, streams))
        yield made[0]
    await runner.cleanup()


async def test_the_page_is_for_everybody_and_holds_nothing(site: Site) -> None:
    page = await site.get("/")
    assert (page.status, page.content_type) == (200, "text/html")
    names = [path.name for path in STATIC.iterdir()]
    for name in names:
        assert (await site.get(f"/{name}")).status == 200, name
    for path in ("/nothing.js", "/../server.py", "/%2e%2e/server.py", "/static/main.js", "/api/nothing"):
        assert (await site.get(path)).status in (401, 404), path


async def test_every_answer_forbids_the_browser_what_the_page_does_not_need(site: Site) -> None:
    await site.log_in()
    answers = [await site.get(path) for path in ("/", "/main.js", "/api/read", "/api/nothing", "/nothing")]
    async with site.client.get(f"{site.url}/api/count") as stream:
        answers.append(stream)
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_page_keeps_to_that_policy() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=|https?:", page)
    for script in STATIC.glob("*.js"):
        text = script.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", text), script


@pytest.mark.parametrize("path", ["/api/read", "/api/session", "/api/count", "/api/nothing"])
async def test_nothing_is_answered_without_a_session(site: Site, path: str) -> None:
    assert (await site.get(path)).status == 401
    assert (await site.get(f"{path}?{COOKIE}=x&token=x", Cookie=f"{COOKIE}=x")).status == 401
    assert (await site.post("/api/act")).status == 401
    assert (await site.log_in("wrong")).status == 401
    assert (await site.get(path)).status == 401
    assert site.streams == []


async def test_a_session_is_a_cookie_that_no_script_reads(site: Site) -> None:
    answer = await site.log_in()
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    behind_tls = await site.log_in(**{"X-Forwarded-Proto": "https"})
    assert "Secure" in behind_tls.headers["Set-Cookie"]


async def test_what_changes_something_needs_the_token_of_the_session(site: Site) -> None:
    await site.log_in()
    answer = await site.post("/api/act", {"n": 1})
    assert (answer.status, await answer.json()) == (200, {"asked": {"n": 1}})
    for headers in (
        {CSRF_HEADER: ""},
        {CSRF_HEADER: site.csrf[:-1]},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert (await site.post("/api/act", {}, **headers)).status == 403, headers
    assert (await site.post("/api/act", {}, **{"Origin": site.url, "Sec-Fetch-Site": "same-origin"})).status == 200
    form = await site.client.post(f"{site.url}/api/act", data={"n": "1"}, headers={CSRF_HEADER: site.csrf})
    assert form.status == 415
    assert (await site.get("/api/act")).status == 405


async def test_no_other_page_logs_anybody_in(site: Site) -> None:
    assert (await site.log_in(Origin="http://evil.example")).status == 403
    form = await site.client.post(f"{site.url}/api/login", data=f'{{"password":"{PASSWORD}"}}')
    assert form.status == 415


async def test_guessing_is_stopped_by_the_address_that_the_proxy_names(site: Site) -> None:
    for _ in range(MAX_FAILURES):
        assert (await site.log_in("wrong", **{"X-Forwarded-For": "192.0.2.1"})).status == 401
    refused = await site.log_in(**{"X-Forwarded-For": "192.0.2.1"})
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert (await site.log_in(**{"X-Forwarded-For": "192.0.2.2"})).status == 200


async def test_after_the_logout_the_cookie_is_worth_nothing(site: Site) -> None:
    answer = await site.log_in()
    token = answer.cookies[COOKIE].value
    assert (await site.post("/api/logout")).status == 200
    assert (await site.get("/api/read", Cookie=f"{COOKIE}={token}")).status == 401


async def test_the_page_gets_its_token_again(site: Site) -> None:
    await site.log_in()
    found = await (await site.get("/api/session")).json()
    assert found["csrf"] == site.csrf
    assert "csrf" not in await (await site.get("/api/read")).json()


@pytest.mark.parametrize(
    ("how", "status", "says"), [("refused", 404, "no such"), ("away", 503, "away"), ("broken", 500, "log")]
)
async def test_what_goes_wrong_is_said_without_what_it_was_about(
    site: Site, how: str, status: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    await site.log_in()
    answer = await site.get(f"/api/read?how={how}")
    text = await answer.text()
    assert answer.status == status
    assert says in text and "secret" not in text
    assert ("GET /api/read failed" in caplog.text) == (how == "broken")


async def test_a_stream_goes_on_while_its_session_lives(site: Site) -> None:
    await site.log_in()
    async with site.client.get(f"{site.url}/api/count") as stream:
        assert stream.content_type == "text/event-stream"
        while await stream.content.readline() != b"data: 3\n":
            pass
        assert (await site.post("/api/logout")).status == 200
        await stream.content.read()  # to its end
    assert site.streams == ["open", "closed"]


@pytest.mark.parametrize("age_s", [IDLE_S, SESSION_S])
async def test_a_session_ends_by_time_with_its_streams(site: Site, age_s: float) -> None:
    await site.log_in()
    async with site.client.get(f"{site.url}/api/count") as stream:
        while await stream.content.readline() != b"data: 3\n":
            pass
        site.later_s = age_s
        async with asyncio.timeout(PATIENCE_S):
            await stream.content.read()  # to its end
    assert site.streams == ["open", "closed"]
    # What the page's next question is told, by which it asks for the password.
    for path in ("/api/count", "/api/session", "/api/read"):
        assert (await site.get(path)).status == 401
    assert (await site.post("/api/act")).status == 401
    assert (await site.log_in()).status == 200
    assert (await site.get("/api/read")).status == 200


async def test_nothing_is_waited_for_without_an_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.log_in()
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 0.01)
    assert (await site.get("/api/read?how=never")).status == 504
    monkeypatch.setattr(module, "BODY_TIMEOUT_S", 0.01)
    slow = {CSRF_HEADER: site.csrf, "Content-Type": "application/json"}

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await over.wait()

    over = asyncio.Event()
    async with site.client.post(f"{site.url}/api/act", data=body(), headers=slow) as answer:
        assert answer.status == 504
        over.set()


async def test_a_body_has_its_limit(site: Site) -> None:
    await site.log_in()
    headers = {CSRF_HEADER: site.csrf, "Content-Type": "application/json"}
    for size, status in ((module.MAX_BODY_BYTES - 100, 200), (module.MAX_BODY_BYTES, 413)):
        body = io.BytesIO(b'{"data":"%b"}' % (b"x" * size))
        async with site.client.post(f"{site.url}/api/act", data=body, headers=headers) as answer:
            assert answer.status == status


async def test_a_browser_that_stops_reading_holds_no_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNREAD_TIMEOUT_S", 0.01)
    await site.log_in()
    async with site.client.get(f"{site.url}/api/much") as stream:
        await stream.content.readline()
        await until(lambda: site.streams == ["open", "closed"])


async def test_a_stream_that_nobody_reads_any_more_is_ended(site: Site) -> None:
    await site.log_in()
    async with site.client.get(f"{site.url}/api/count") as stream:
        await stream.content.readline()
        stream.close()
    await until(lambda: site.streams == ["open", "closed"])


async def test_there_are_only_so_many_streams(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    await site.log_in()
    async with site.client.get(f"{site.url}/api/count") as stream:
        await stream.content.readline()
        assert (await site.get("/api/count")).status == 503
        stream.close()
    await until(lambda: site.streams == ["open", "closed"])
    async with site.client.get(f"{site.url}/api/count") as stream:
        assert stream.status == 200
        stream.close()
