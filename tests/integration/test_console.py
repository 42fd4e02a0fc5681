"""The console of a running engine, over HTTP and in a browser; screenshots are left in ``build/screenshots``."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from engine.apps.sqlite_table import SqliteTable
from engine.config.databases import SqliteConfig
from tests.support import browser
from tests.support.client import connected
from tests.support.console import PASSWORD, Console, answers, options
from tests.support.console_page import click, edit_applications, type_password
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import until, wait_until

SCREENSHOTS = ROOT / "build" / "screenshots"
#: JavaScript: how many pixels of each plot are painted.
PAINTED = """[...document.querySelectorAll("canvas")].map((canvas) => canvas.width && canvas.getContext("2d")
  .getImageData(0, 0, canvas.width, canvas.height).data.filter((value, index) => index % 4 == 3 && value).length)"""
SECOND = {"id": "2", "key": "second-key", "secret": "second-secret"}

DATA = '{"text":"hello","id":12345678901234567890}'


@pytest.fixture(scope="module")
def hooks() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def engine(hooks: WebhookReceiver) -> Iterator[Engine]:
    with running(config(hooks), workers=2) as started:
        wait_until(lambda: answers(started), what="the console answers")
        yield started


@pytest.fixture(scope="module")
def alone(hooks: WebhookReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One worker without Redis, whose applications are in a file."""
    file = str(tmp_path_factory.mktemp("apps") / "apps.sqlite3")
    SqliteTable(SqliteConfig(path=file)).add(APP)
    apps = {"app_manager": {"driver": "sqlite", "refresh_ms": 50}, "database": {"sqlite": {"path": file}}}
    with running(config(hooks) | apps, workers=1) as started:
        wait_until(lambda: answers(started), what="the console answers")
        yield started


def config(hooks: WebhookReceiver) -> dict[str, Any]:
    once = {"url": f"{hooks.url}/once?token=hidden", "event_types": ["cache_miss"], "retry": {"enabled": False}}
    patient = {
        "url": f"{hooks.url}/patient",
        "event_types": ["channel_occupied"],
        "filter": {"channel_prefix": "patient"},
        "retry": {"initial_backoff_ms": 60_000, "max_backoff_ms": 60_000},
    }
    return {
        "console": options(),
        "app_manager": {"array": {"apps": [APP | {"webhooks": [once, patient]}, SECOND]}},
    }


def _pid(engine: Engine) -> int:
    return next(pid for pid, command in engine.processes().items() if "engine.console" in command)


def test_the_node_at_a_glance(engine: Engine) -> None:
    where = f"console on http://127.0.0.1:{engine.config['console']['port']}/"
    wait_until(lambda: where in engine.log(), what="the banner says where it is")
    console = Console(engine)
    session = console.get("session")
    assert [app["id"] for app in session["apps"]] == ["1", "2"]
    assert not any(secret in json.dumps(session) for secret in (APP["secret"], SECOND["secret"], PASSWORD))
    wait_until(lambda: all(worker["ready"] for worker in console.look()["node"]["workers"]))
    wait_until(lambda: sum(worker["leads"] for worker in console.look()["node"]["workers"]) == 1)
    look = console.look()
    assert (look["node"]["trouble"], look["node"]["slots"]) == ("", 2)
    assert {worker["pid"] for worker in look["node"]["workers"]} == set(engine.workers())
    assert all(worker["resident_bytes"] > 0 for worker in look["node"]["workers"])
    assert (look["cluster"]["others"], look["cluster"]["led"], look["cluster"]["leader_elsewhere"]) == ([], True, False)
    assert look["cluster"]["redis"]["role"] == "master"
    published = look["sums"]["broadcast_messages_total"]
    engine.trigger("a-channel", "an-event")
    wait_until(lambda: console.look()["sums"]["broadcast_messages_total"] == published + 1)


def test_who_is_where(engine: Engine) -> None:
    asyncio.run(_look_for_people(engine))


async def _look_for_people(engine: Engine) -> None:
    console = await asyncio.to_thread(Console, engine)
    async with connected(engine.ws_url) as ada, connected(engine.ws_url) as bob:
        for client, name in ((ada, "ada"), (bob, "bob")):
            await client.subscribe("presence-seen", user_id=name, user_info={"name": "hidden"})
        await ada.subscribe("seen")
        await ada.signin("ada")
        found = await asyncio.to_thread(console.get, "channels?app=1")
        rows = {row["name"]: row for row in found["rows"]}
        assert rows["presence-seen"] == {
            "name": "presence-seen",
            "kind": "presence",
            "subscriptions": 2,
            "members": 2,
        }
        assert rows["seen"]["subscriptions"] == 1
        found = await asyncio.to_thread(console.get, "channels?app=1&prefix=se")
        assert [row["name"] for row in found["rows"]] == ["seen"]
        found = await asyncio.to_thread(console.get, "members?app=1&channel=presence-seen")
        assert sorted(found["rows"]) == ["ada", "bob"]
        await until(lambda: asyncio.to_thread(lambda: console.get("users?app=1")["rows"]))
        assert (await asyncio.to_thread(console.get, "users?app=1"))["rows"] == [{"id": "ada", "connections": 1}]
        assert (await asyncio.to_thread(console.get, "channels?app=2"))["rows"] == []


def test_a_webhook_that_was_given_up_is_sent_again(engine: Engine, hooks: WebhookReceiver) -> None:
    asyncio.run(_fail(engine, hooks))


async def _fail(engine: Engine, hooks: WebhookReceiver) -> None:
    console = await asyncio.to_thread(Console, engine)

    def of(kind: str, number: int) -> Any:
        found = console.get("webhooks")
        return found if len(found[kind]) == number else None

    async def seen(kind: str, number: int) -> Any:
        return await until(lambda: asyncio.to_thread(of, kind, number))

    before = len(hooks.handled("/once"))
    hooks.answer(500, 503, path="/once")
    hooks.answer(502, path="/patient")
    async with connected(engine.ws_url) as client:
        await client.subscribe("cache-first")
        await client.subscribe("cache-second")
        await client.subscribe("patient-room")
        found = await seen("dead", 2)
        letters = {letter["channels"][0]: letter for letter in found["dead"]}
        assert letters.keys() == {"cache-first", "cache-second"}
        first = letters["cache-first"]
        assert (first["target"], first["app"], first["events"]) == (f"{hooks.url}/once", "1", {"cache_miss": 1})
        assert first["errors"][0].endswith((" status 500", " status 503")) and "hidden" not in json.dumps(found)
        (late,) = (await seen("delayed", 1))["delayed"]
        assert (late["attempts"], late["errors"][0].partition(" ")[2]) == (1, "status 502")

        assert await asyncio.to_thread(console.post, "webhooks_retry", {"id": first["id"]}) == (200, {"number": 1})
        await until(lambda: len(hooks.handled("/once")) == before + 1)
        for wrong in ({}, {"id": None}, {"all": "yes"}, {"id": first["id"]}):
            status, answer = await asyncio.to_thread(console.post, "webhooks_forget", wrong)
            assert status == 400 or answer == {"number": 0}
        second = {"id": letters["cache-second"]["id"]}
        assert await asyncio.to_thread(console.post, "webhooks_forget", second) == (200, {"number": 1})
        await seen("dead", 0)
        sent = len(hooks.to("/patient"))
        assert await asyncio.to_thread(console.post, "webhooks_retry", {"id": late["id"]}) == (200, {"number": 1})
        await until(lambda: len(hooks.to("/patient")) == sent + 1)
        await until(lambda: asyncio.to_thread(lambda: any(each["failed"] >= 2 for each in console.look()["endpoints"])))


def test_an_event_is_made_and_seen(engine: Engine) -> None:
    asyncio.run(_make_and_see(engine))


@asynccontextmanager
async def events_of(console: Console) -> AsyncIterator[list[dict[str, Any]]]:
    """What the stream of app 1 has told, as it comes."""
    seen: list[dict[str, Any]] = []

    async def hear(stream: aiohttp.ClientResponse) -> None:
        async for line in stream.content:
            if line.startswith(b"data: "):
                seen.extend(json.loads(line[6:]))

    address = f"http://127.0.0.1:{console.port}/api/events?app=1"
    async with aiohttp.ClientSession() as session, session.get(address, headers={"Cookie": console.cookie}) as stream:
        hearing = asyncio.create_task(hear(stream))
        try:
            yield seen
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])


async def _make_and_see(engine: Engine) -> None:
    console = await asyncio.to_thread(Console, engine)
    made = {"app": "1", "channel": "private-seen", "event": "made", "data": '{"by":"hand"}'}
    async with events_of(console) as seen:
        await until(lambda: any(event["kind"] == "watching" and event["workers"] == 2 for event in seen))
        async with connected(engine.ws_url) as client:
            await client.subscribe("private-seen")
            assert await asyncio.to_thread(console.post, "publish", made) == (200, {})
            assert (await client.next("made"))["data"] == '{"by":"hand"}'
            await client.send("client-said", {"n": 1}, "private-seen")
            await client.unsubscribe("private-seen")
            await client.send("pusher:subscribe", {"channel": "private-seen", "auth": "wrong:wrong"})
            await client.next("pusher:subscription_error")
            other = made | {"app": "2", "event": "unseen"}
            assert await asyncio.to_thread(console.post, "publish", other) == (200, {})
        kinds = {"connected", "subscribed", "published", "client event", "unsubscribed", "refused", "disconnected"}
        await until(lambda: kinds <= {event["kind"] for event in seen}, what=lambda: seen)
    mine = {event["kind"]: event for event in seen}
    assert mine["subscribed"]["channel"] == mine["client event"]["channel"] == "private-seen"
    assert (mine["published"]["event"], mine["published"]["data"]) == ("made", '{"by":"hand"}')
    assert (mine["client event"]["event"], mine["client event"]["data"]) == ("client-said", '{"n":1}')
    assert "unseen" not in str(seen)
    assert '{"by":"hand"}' not in engine.log()
    for wrong in ({"channel": "#server"}, {"event": "pusher:x"}, {"app": "3"}, {"data": 7}):
        status, _ = await asyncio.to_thread(console.post, "publish", made | wrong)
        assert status in (400, 404), wrong


def test_one_worker_alone_is_asked_itself(alone: Engine) -> None:
    """It has no Redis, and answers plain publishes without Python while nobody looks on."""
    asyncio.run(_look_at_one(alone))


async def _look_at_one(engine: Engine) -> None:
    console = await asyncio.to_thread(Console, engine)
    look = await asyncio.to_thread(console.look)
    assert (look["cluster"], [worker["leads"] for worker in look["node"]["workers"]]) == (None, [True])
    depth = (await asyncio.to_thread(console.get, "webhooks"))["depth"]
    assert depth == {"waiting": 0, "in_flight": 0, "delayed": 0, "dead": 0}
    async with connected(engine.ws_url) as client, events_of(console) as seen:
        await client.subscribe("presence-alone", user_id="ada")
        (row,) = (await asyncio.to_thread(console.get, "channels?app=1"))["rows"]
        assert (row["name"], row["members"]) == ("presence-alone", 1)
        await until(lambda: any(event.get("workers") == 1 for event in seen))
        await asyncio.to_thread(engine.trigger, "presence-alone", "by-api", "x" * 5000)
        await until(lambda: any(event.get("event") == "by-api" for event in seen))
        event = next(event for event in seen if event.get("event") == "by-api")
        assert (len(event["data"]), event["data_length"]) == (2000, 5000)
    async with connected(engine.ws_url) as client:
        await client.subscribe("seen")
        await asyncio.to_thread(engine.trigger, "seen", "unseen-again")
        assert (await client.next("unseen-again"))["channel"] == "seen"


def test_a_worker_that_does_not_answer_does_not_hold_it_up(engine: Engine) -> None:
    console = Console(engine)
    victim = engine.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    try:
        assert victim in [worker["pid"] for worker in console.look()["node"]["workers"]]
        assert console.get("channels?app=2")["rows"] == []
        assert console.get("webhooks")["depth"]["dead"] == 0
    finally:
        os.kill(victim, signal.SIGCONT)


def test_without_a_password_there_is_none_and_a_new_one_is_followed(engine: Engine) -> None:
    """The password is changed to another one and back, and its session ends."""
    console = Console(engine)
    document = json.loads(engine.config_path.read_text())
    for password in ("another one entirely", PASSWORD):
        document["console"]["password"] = password
        engine.config_path.write_text(json.dumps(document))
        engine.process.send_signal(signal.SIGHUP)
        wait_until(lambda: console.request("GET", "session")[0] == 401)
        status, headers, found = console.request("POST", "login", {"password": password})
        assert status == 200
        console.cookie, console.csrf = headers["Set-Cookie"].partition(";")[0], found["csrf"]
    assert PASSWORD not in engine.log() and "another one entirely" not in engine.log()


def test_a_console_that_dies_is_started_again(engine: Engine) -> None:
    before = _pid(engine)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: answers(engine) and _pid(engine) != before)
    assert len(Console(engine).look()["node"]["workers"]) == 2


@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())
def test_it_is_used_in_a_browser(engine: Engine, alone: Engine, hooks: WebhookReceiver) -> None:
    hooks.answer(404, path="/once")
    asyncio.run(_use(engine, alone))


async def _use(engine: Engine, alone: Engine) -> None:
    async with browser.browser_page() as page:
        await page.look(1200, 900)
        await page.open(f"http://127.0.0.1:{engine.config['console']['port']}/")
        await page.wait("!document.getElementById('login').hidden")
        await type_password(page, "wrong password")
        assert await page.wait("document.getElementById('refusal').textContent") == "the password is wrong"
        await page.screenshot(SCREENSHOTS / "console-login.png")
        await type_password(page, PASSWORD)
        await page.wait("document.querySelectorAll('#view tbody tr').length >= 2")
        assert await page.value("document.getElementById('health').textContent") == "This node is ready."
        assert await page.value("location.search + document.cookie") == ""
        # The second look makes a line, beside the axis and its words.
        await page.wait(f"({PAINTED}).length == 6 && ({PAINTED}).every((pixels) => pixels > 100)")
        for name, width, height, dark in (
            ("light", 1200, 900, False),
            ("dark", 1200, 900, True),
            ("phone", 390, 844, True),
        ):
            await page.look(width, height, dark=dark)
            assert await page.value("document.documentElement.scrollWidth <= innerWidth"), f"{name}: it is too wide"
            await page.screenshot(SCREENSHOTS / f"console-{name}.png")
        await page.look(1200, 900)
        async with connected(engine.ws_url) as client:
            await client.subscribe("presence-seen", user_id="<b>ada</b>\u202e")
            await page.value("location.hash = 'channels'")
            await click(page, 'a[href="#channels/presence-seen"]')
            shown = json.dumps("<b>ada</b>\\u202e")
            await page.wait(f"[...document.querySelectorAll('td')].some((cell) => cell.textContent == {shown})")
            await page.value("location.hash = 'channels'")
            await page.wait("!!document.getElementById('totals')")
            await page.screenshot(SCREENSHOTS / "console-channels.png")
            await client.subscribe("cache-third")
            await page.value("location.hash = 'webhooks'")
            # By these an alert and a line of the log name it.
            ids = {*re.findall(r'endpoint="(\w+)"', engine.metrics())}
            await page.wait("document.querySelectorAll('td code').length > 0")
            shown = await page.value("[...document.querySelectorAll('td code')].map((cell) => cell.textContent)")
            assert {*shown} <= ids, "the same"
            await click(page, "#dead td button")
            await page.wait("document.getElementById('said').textContent == '1 webhook sent again'")
            await page.wait("document.querySelectorAll('#dead td').length == 0")
            await page.screenshot(SCREENSHOTS / "console-webhooks.png")
            await page.value("location.hash = 'events'")
            await page.wait("document.getElementById('watching').textContent == '2 workers'")
            for name, text in (("channel", "presence-seen"), ("event", "greeting"), ("data", DATA)):
                await page.value(f"document.getElementById('make-{name}').value = {json.dumps(text)}")
            await click(page, "#make button")
            assert (await client.next("greeting"))["data"] == DATA
            # What a browser's numbers cannot hold is shown as it was sent.
            await page.wait(f"document.getElementById('log').textContent.includes({json.dumps(DATA)})")
            await page.screenshot(SCREENSHOTS / "console-events.png")
        for address in ("constructor", "channels/%E0%A4%A"):
            # Nothing is called so; the first view is shown, and the others are found still.
            await page.value(f"location.hash = '{address}'")
            await page.wait("document.title.startsWith('Overview')")
            await page.value("location.hash = 'users'")
            await page.wait("document.title.startsWith('Users')")
        await page.value("location.hash = 'apps'")
        await page.wait("document.getElementById('why-not').textContent.includes(\"the configuration's file\")")
        assert await page.value("document.getElementById('add-app').hidden")
        await _end_session(page)
        await page.wait("!document.getElementById('login').hidden && document.getElementById('shell').hidden")
        assert "session has ended" in await page.value("document.getElementById('refusal').textContent")
        await type_password(page, PASSWORD)
        await page.wait("!document.getElementById('shell').hidden")
        assert await page.value("document.getElementById('refusal').textContent") == ""
        await page.value("document.getElementById('logout').click()")
        await page.wait("!document.getElementById('login').hidden && document.getElementById('shell').hidden")

        await edit_applications(page, alone, PASSWORD, SCREENSHOTS)


async def _end_session(page: browser.Page) -> None:
    """Without the page's knowing, as time does."""
    await page.value(
        "fetch('api/session').then((answer) => answer.json()).then(({ csrf }) => fetch('api/logout', { method: 'POST',"
        " headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': csrf }, body: '{}' })) && true"
    )
