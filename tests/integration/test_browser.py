"""pusher-js where it lives: in a browser, with a page and an auth endpoint served as an application serves them.

Skipped where there is no Chromium. Screenshots are left in ``build/screenshots``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pusher
import pytest
from aiohttp import web

from tests.support import browser, node
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.node import CLIENTS
from tests.support.snippets import snippets
from tests.support.waiting import free_port, until

SCREENSHOTS = ROOT / "build" / "screenshots"
SCRIPTS = CLIENTS / "node_modules" / "pusher-js" / "dist" / "web"
MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
CHANNELS = ["private-room", "presence-room", "private-encrypted-room", "cache-room"]
ESTABLISHED = "01"

pytestmark = pytest.mark.skipif(bool(browser.missing() or node.missing()), reason=browser.missing() or node.missing())


def test_a_page_receives_on_every_kind_of_channel_and_survives_its_worker() -> None:
    with running(workers=2) as engine:
        asyncio.run(_survive(engine))


async def _survive(engine: Engine) -> None:
    back_end = _back_end(engine)
    trigger = back_end.trigger
    await asyncio.to_thread(trigger, "cache-room", "price", {"n": 0})
    async with _served(back_end) as url, browser.browser_page() as page:
        query = urlencode([("key", APP["key"]), ("port", engine.port), *(("channel", name) for name in CHANNELS)])
        await page.open(f"{url}/page.html?{query}")
        await page.wait(f"page.subscribed.length == {len(CHANNELS)}")
        assert await page.value("page.members") == ["ada"]
        assert await page.wait(_last("cache-room")) == {"channel": "cache-room", "event": "price", "data": {"n": 0}}

        for name in CHANNELS:
            await asyncio.to_thread(trigger, name, "greeting", {"text": f"Zoë ☃ in {name}"})
            await page.wait(f'{_last(name)}.data?.text == "Zoë ☃ in {name}"')

        victim = _worker_of_the_page(engine)
        os.kill(victim, signal.SIGKILL)
        await page.wait(f"page.subscribed.length == {2 * len(CHANNELS)}")
        # The cached event comes once more to whoever subscribes once more.
        await page.wait(f'{_last("cache-room")}.data?.text == "Zoë ☃ in cache-room"')
        for name in CHANNELS:
            await asyncio.to_thread(trigger, name, "again", {"text": "after the worker's death"})
            await page.wait(f'{_last(name)}.event == "again"')
        assert await page.value("page.members") == ["ada"]
        states = await page.value("page.states")
        assert (states[0], states[-1], states.count("connected")) == ("connected", "connected", 2)
        greetings = 'page.received.filter(({event}) => event == "greeting").length'
        assert await page.value(greetings) == len(CHANNELS) + 1, "none lost, none doubled, the cached one twice"
        await page.screenshot(SCREENSHOTS / "pusher-js.png")


def test_the_page_of_the_readme_shows_an_event(shared_engine: Callable[[int], Engine]) -> None:
    """As it is, but for the script, which comes from here, and the port."""
    asyncio.run(_first_steps(shared_engine(1)))


async def _first_steps(engine: Engine) -> None:
    text = (ROOT / "docs" / "getting-started" / "index.html").read_text()
    text = text.replace("https://js.pusher.com/8.4.0/pusher.min.js", "/pusher.js")
    text = text.replace("wsPort: 6001", f"wsPort: {engine.port}")
    assert "js.pusher.com" not in text
    async with _served(_back_end(engine), text) as url, browser.browser_page() as page:
        await page.open(f"{url}/index.html")
        await page.wait('document.body.innerText.includes("pusher:subscription_succeeded")')
        assert await page.value('document.getElementById("state").textContent') == "connected"
        await asyncio.to_thread(engine.trigger, "test-channel", "greeting", json.dumps({"text": "hello"}))
        await page.wait("""document.getElementById("events").innerText.includes('greeting: {"text":"hello"}')""")
        await page.screenshot(SCREENSHOTS / "getting-started.png")


def test_with_the_lines_of_the_docs_a_page_that_is_left_is_no_member_until_it_comes_back(
    shared_engine: Callable[[int], Engine],
) -> None:
    asyncio.run(_leave_and_come_back(shared_engine(1)))


async def _leave_and_come_back(engine: Engine) -> None:
    """Without these lines the member would stay for longer than anything here waits."""
    (lines,) = snippets("browsers.md", "js")
    text = (CLIENTS / "page.html").read_text().replace("</body>", f"<script>{lines}</script></body>")

    def members() -> object:
        return engine.request("GET", "/channels/presence-left/users").json["users"]

    async with _served(_back_end(engine), text) as url, browser.browser_page() as page:
        query = urlencode([("key", APP["key"]), ("port", engine.port), ("channel", "presence-left")])
        await page.open(f"{url}/index.html?{query}")
        await page.wait("page.subscribed.length == 1")
        assert await asyncio.to_thread(members) == [{"id": "ada"}]

        await page.open(f"{url}/pusher.js")
        await until(lambda: asyncio.to_thread(lambda: members() == []), what="the member is gone")

        await page.value("history.back()")
        await page.wait("page.subscribed.length == 2")
        states = await page.value("page.states")
        assert states == ["connected", "disconnected", "connecting", "connected"], "the same page"
        assert await asyncio.to_thread(members) == [{"id": "ada"}]
        await asyncio.to_thread(engine.trigger, "presence-left", "greeting")
        await page.wait(f'{_last("presence-left")}.event == "greeting"')


def _back_end(engine: Engine) -> pusher.Pusher:
    return pusher.Pusher(
        APP["id"],
        APP["key"],
        APP["secret"],
        host="127.0.0.1",
        port=engine.port,
        ssl=False,
        encryption_master_key_base64=MASTER_KEY,
    )


@asynccontextmanager
async def _served(back_end: pusher.Pusher, index: str = "") -> AsyncIterator[str]:
    """The application: its pages, pusher-js, and the endpoint that signs subscriptions."""

    async def auth(request: web.Request) -> web.Response:
        form = await request.post()
        channel, socket_id = str(form["channel_name"]), str(form["socket_id"])
        member = {"user_id": "ada", "user_info": {"name": "Ada"}} if channel.startswith("presence-") else None
        signed = back_end.authenticate(channel, socket_id, member)
        # The library gives the shared secret of an encrypted channel as bytes.
        return web.json_response(text=json.dumps(signed, default=bytes.decode))

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=index, content_type="text/html")

    def file(path: Path) -> web.RouteDef:
        async def send(_: web.Request) -> web.FileResponse:
            return web.FileResponse(path)

        return web.get("/pusher.js" if path.suffix == ".js" else f"/{path.name}", send)

    application = web.Application()
    script, own_page = SCRIPTS / "pusher-with-encryption.min.js", CLIENTS / "page.html"
    application.add_routes([file(script), file(own_page), web.get("/index.html", page), web.post("/auth", auth)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def _last(channel: str) -> str:
    """JavaScript: the last thing the page received on the channel."""
    return f"page.received.findLast((each) => each.channel == {json.dumps(channel)})"


def _worker_of_the_page(engine: Engine) -> int:
    """The worker that holds the page's connection: its other end is not in this process."""
    ours = {os.stat(entry.path).st_ino for entry in os.scandir("/proc/self/fd") if os.path.exists(entry.path)}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (port,) = (
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if int(row[2].rpartition(":")[2], 16) == engine.port and row[3] == ESTABLISHED and int(row[9]) not in ours
    )
    return engine.worker_of(port)
