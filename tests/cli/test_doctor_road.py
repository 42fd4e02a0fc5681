"""`python -m engine doctor` on the road of clients and back ends: each trouble that can be made there is named."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.__main__ import main
from engine.cli import doctor_road
from engine.cli.finding import Finding
from tests.support.findings import APP, complained, levels
from tests.support.waiting import free_port


class Road:
    """A server that says what it is told to say, where an engine would be."""

    def __init__(self) -> None:
        self.ready = 200
        self.date = ""
        self.first: dict[str, Any] = {
            "event": "pusher:connection_established",
            "data": json.dumps({"socket_id": "1.1", "activity_timeout": 1}),
        }
        self.upgrade = 101
        self.page = ""
        self.published = 200
        self.delivers = True
        self.pings = True
        self._socket: web.WebSocketResponse | None = None
        #: Ports that were published to.
        self.asked: list[int | None] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/ready":
            headers = {"Date": self.date} if self.date else {}
            return web.Response(status=self.ready, text=self.page, headers=headers)
        if request.method == "POST":
            self.asked.append(request.url.port)
            if self.delivers and self._socket is not None:
                await self._socket.send_json({"event": "doctor", "data": "{}"})
                if self.pings:
                    await self._socket.send_json({"event": "pusher:ping"})
                else:
                    await self._socket.close()
            return web.Response(status=self.published, text="{}")
        if self.upgrade != 101:
            return web.Response(status=self.upgrade)
        self._socket = connection = web.WebSocketResponse()
        await connection.prepare(request)
        await connection.send_json(self.first)
        async for _ in connection:
            await connection.send_json({"event": "pusher_internal:subscription_succeeded"})
        return connection


@pytest.fixture
async def road() -> AsyncIterator[tuple[Road, str]]:
    stage = Road()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", stage.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield stage, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def walked(url: str, *, idle: bool = False) -> list[Finding]:
    return [finding async for finding in doctor_road.walk(APP, url, (url, None), idle=idle)]


async def test_a_good_road(road: tuple[Road, str]) -> None:
    found = await walked(road[1])
    assert levels(found) == ["ok", "ok", "ok", "ok", "ok", "skipped"]
    assert [finding.check for finding in found] == ["name", "health", "clock", "websocket", "publish", "silence"]


@pytest.mark.parametrize(
    ("what", "value", "check", "words"),
    [
        ("ready", 503, "health", ["503", "log"]),
        ("ready", 302, "health", ["302", "redirect"]),
        ("ready", 500, "health", ["500", "path prefix"]),
        ("ready", 502, "health", ["502", "does not reach the engine"]),
        ("date", "Fri, 27 Nov 2020 12:00:00 GMT", "clock", ["behind", "chrony"]),
        ("upgrade", 426, "websocket", ["426", "proxy_set_header Upgrade"]),
        ("upgrade", 400, "websocket", ["400", "proxy_set_header Upgrade"]),
        ("upgrade", 502, "websocket", ["502", "does not reach the engine"]),
        ("first", {"event": "pusher:error", "data": {"code": 4001}}, "websocket", ["4001", "another configuration"]),
        ("first", {"event": "pusher:error", "data": {"code": 4003}}, "websocket", ["4003", "apps enable"]),
        ("published", 401, "publish", ["401", "secret", "clock"]),
        ("published", 413, "publish", ["413", "client_max_body_size"]),
        ("published", 404, "publish", ["404", "POST /apps"]),
        ("delivers", False, "publish", ["did not reach", "one Redis"]),
    ],
)
async def test_what_is_wrong_on_the_road_is_named(
    road: tuple[Road, str], monkeypatch: pytest.MonkeyPatch, what: str, value: Any, check: str, words: list[str]
) -> None:
    if what == "delivers":
        monkeypatch.setattr(doctor_road, "STEP_TIMEOUT_S", 0.5)
        monkeypatch.setattr(doctor_road._next, "__defaults__", (0.5,))
    setattr(road[0], what, value)
    (problem,) = [finding for finding in await walked(road[1]) if finding.level == "problem"]
    assert problem.check == check
    assert complained(problem, *words)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_page_of_balancers_that_is_not_shown_to_clients_is_no_problem(
    road: tuple[Road, str], status: int
) -> None:
    road[0].ready = status
    found = await walked(road[1])
    assert complained(found[1], str(status), "balancers", "path prefix")
    assert levels(found) == ["ok", "warning", "ok", "ok", "ok", "skipped"]


@pytest.mark.parametrize(("page", "told"), [("no Redis", "503 no Redis"), (" <html>Sorry", "503")])
async def test_words_of_an_answer_are_repeated_and_pages_are_not(road: tuple[Road, str], page: str, told: str) -> None:
    road[0].ready, road[0].page = 503, page
    assert (await walked(road[1]))[1].message == f"GET /ready: {told}"


@pytest.mark.parametrize(("off_s", "level"), [(5, "ok"), (60, "warning"), (-590, "problem")])
def test_signatures_bear_a_clock_that_is_off_up_to_a_point(off_s: int, level: str) -> None:
    assert doctor_road._clock(formatdate(time.time() + off_s)).level == level


async def test_what_cuts_silent_connections_is_named(road: tuple[Road, str]) -> None:
    assert (await walked(road[1], idle=True))[-1].level == "ok"
    road[0].pings = False
    found = (await walked(road[1], idle=True))[-1]
    assert (found.check, found.level) == ("silence", "problem")
    assert complained(found, "proxy_read_timeout")


async def test_addresses_that_lead_nowhere() -> None:
    (found,) = await walked("http://no.such.host.invalid")
    assert complained(found, "no.such.host.invalid", "DNS")
    found = (await walked(f"http://127.0.0.1:{free_port()}"))[-1]
    assert complained(found, "cannot be reached", "firewall")


async def test_tls_that_is_none(road: tuple[Road, str]) -> None:
    found = (await walked(road[1].replace("http", "https")))[1]
    assert complained(found, "no handshake", "ssl")


async def test_a_publish_goes_to_the_address_of_the_api(road: tuple[Road, str], tmp_path: Path) -> None:
    """The public address does not lead to it."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", road[0].serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    number = runner.addresses[0][1]
    for http_api, asked in ({"port": number, "host": "127.0.0.1"}, number), ({}, int(road[1].rpartition(":")[2])):
        config = {
            "http_api": http_api,
            "app_manager": {"array": {"apps": [{"id": "1", "key": "key", "secret": APP.secret}]}},
        }
        (tmp_path / "config.json").write_text(json.dumps(config))
        command = ["doctor", "--config", str(tmp_path / "config.json"), "--url", road[1], "--json"]
        await asyncio.to_thread(main, command)
        assert road[0].asked.pop() == asked
    await runner.cleanup()
