"""`python -m engine trace`: of each mishap that keeps an event from a client, a line names the cause."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from engine.cli.trace import followed, read
from engine.config.loading.load import load
from engine.trace.follow import MAX_TRACES, Follow
from engine.trace.lines import Line
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, PYTHON, Engine, environment, running
from tests.support.receiver import WebhookReceiver
from tests.support.signing import signed_query
from tests.support.waiting import PATIENCE_S, until, wait_until

STRICT = {
    "id": "2",
    "key": "strict-key",
    "secret": "strict-secret",
    "max_backend_events_per_second": 1,
    "max_presence_members_per_channel": 1,
}
OFF = {"id": "3", "key": "off-key", "secret": "off-secret", "enabled": False}
PICKY = {"id": "4", "key": "picky-key", "secret": "picky-secret", "allowed_origins": ["good.example"]}
SECRETS = ("app-secret", "strict-secret", "off-secret", "picky-secret", "payload-of-nobody")
DATA = '{"text":"payload-of-nobody"}'


def event(name: str = "tick", channel: str = "room", data: str = DATA, **more: Any) -> dict[str, Any]:
    return {"name": name, "channels": [channel], "data": data, **more}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with WebhookReceiver() as receiver:
        receiver.answer(always=500, path="/dead")
        retry = {"max_attempts": 2, "initial_backoff_ms": 1, "max_backoff_ms": 1}
        hook = {"url": f"{receiver.url}/dead", "event_types": ["channel_occupied"], "retry": retry}
        good = {"url": f"{receiver.url}/good", "event_types": ["channel_occupied"]}
        app = APP | {"webhooks": [hook, good], "max_event_payload_in_kb": 10}
        config = {"app_manager": {"array": {"apps": [app, STRICT, OFF, PICKY]}}, "webhooks": {"settle_ms": 0}}
        # Callers do wrong here, and a webhook fails; faults of the engine's own would be others.
        with running(config, workers=2, noise=re.compile(r"Traceback|CRITICAL|Exception ignored")) as started:
            # Until then one worker may be starting still.
            wait_until(lambda: "engine listens on" in started.log())
            yield started


class Story:
    """The lines of one trace while it goes on."""

    def __init__(self, engine: Engine, follow: Follow) -> None:
        self._engine = engine
        self._follow = follow
        self.lines: list[Line] = []
        self._begun = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    async def __aenter__(self) -> Story:
        self._thread.start()
        assert await asyncio.to_thread(self._begun.wait, PATIENCE_S)
        # Both workers have begun with what they know.
        await until(lambda: {line.worker for line in self.lines} == {0, 1}, what=lambda: self.lines)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.to_thread(self._thread.join)

    async def tells(self, stage: str, pattern: str) -> Line:
        def found() -> Line | None:
            return next((each for each in self.lines if each.stage == stage and re.search(pattern, each.text)), None)

        await until(lambda: found() is not None, what=lambda: f"{stage}: {pattern} among {self.lines}")
        line = found()
        assert line is not None
        return line

    def _listen(self) -> None:
        config = load(self._engine.config_path, {}, 2).config
        with followed(config, self._follow) as (status, lines):
            if status == 0:
                self._begun.set()
            while not self._over.is_set():
                self.lines += read(lines, 0.02)


Do = Callable[[Engine, PusherClient], Awaitable[object]]
Mishap = tuple[Follow, Do, str, str]


def publish(body: Any, **app: str) -> Do:
    async def do(engine: Engine, _: PusherClient) -> None:
        await asyncio.to_thread(engine.request, "POST", "/events", body, **app)

    return do


async def repeat(engine: Engine, _: PusherClient) -> None:
    for _try in range(2):
        await publish(event(idempotency_key="once"))(engine, _)


async def too_often(engine: Engine, _: PusherClient) -> None:
    # As many as channels, and so too many at whatever moment.
    two = {"name": "tick", "channels": ["a", "b"], "data": DATA}
    await publish(two, app_id="2", key="strict-key", secret="strict-secret")(engine, _)


async def too_late(engine: Engine, _: PusherClient) -> None:
    body = json.dumps(event()).encode()
    query = signed_query(APP["key"], APP["secret"], "POST", "/apps/1/events", body, timestamp=int(time.time()) - 1000)
    await asyncio.to_thread(engine.raw, "POST", f"/apps/1/events?{urllib.parse.urlencode(query)}", body)


async def no_json(engine: Engine, _: PusherClient) -> None:
    body = b"{'name'"
    query = signed_query(APP["key"], APP["secret"], "POST", "/apps/1/events", body)
    await asyncio.to_thread(engine.raw, "POST", f"/apps/1/events?{urllib.parse.urlencode(query)}", body)


async def to_a_wrong_path(engine: Engine, _: PusherClient) -> None:
    await asyncio.to_thread(engine.request, "POST", "/event", event())


async def join_twice(engine: Engine, client: PusherClient) -> None:
    await client.send("pusher:subscribe", {"channel": "room"})


async def join_without_auth(engine: Engine, client: PusherClient) -> None:
    await client.send("pusher:subscribe", {"channel": "private-room"})


async def to_all_but(engine: Engine, client: PusherClient) -> None:
    await publish(event(socket_id=client.socket_id))(engine, client)


async def leave(engine: Engine, client: PusherClient) -> None:
    await client.unsubscribe("room")


async def go(engine: Engine, client: PusherClient) -> None:
    await client.close()


async def join_badly(engine: Engine, client: PusherClient) -> None:
    auth = f"{client.key}:{'0' * 64}"
    await client.send("pusher:subscribe", client.subscription("private-room", auth=auth))


async def shout(engine: Engine, client: PusherClient) -> None:
    await client.send("client-hello", {}, "private-elsewhere")


async def shout_where_nobody_may(engine: Engine, _: PusherClient) -> None:
    async with connected(engine.ws_url, "strict-key", "strict-secret") as client:
        await client.subscribe("private-room")
        await client.send("client-hello", {}, "private-room")
        await client.settle()


async def be_one_too_many(engine: Engine, _: PusherClient) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for user in ("ada", "bob"):
            client = await stack.enter_async_context(connected(engine.ws_url, "strict-key", "strict-secret"))
            await client.send("pusher:subscribe", client.subscription("presence-room", user))
            await client.take(lambda frame: frame["event"] in ("pusher_internal:subscription_succeeded", REFUSED))


REFUSED = "pusher:subscription_error"


async def come_with_a_wrong_key(engine: Engine, _: PusherClient) -> None:
    async with connected(engine.ws_url, "no-key", wait=False) as client:
        await client.wait_closed()


async def come_from_elsewhere(engine: Engine, _: PusherClient) -> None:
    async with connected(engine.ws_url, "picky-key", wait=False, headers={"Origin": "https://evil.example"}) as client:
        await client.wait_closed()


async def be_sent_away(engine: Engine, client: PusherClient) -> None:
    await client.signin("mallory")
    await asyncio.to_thread(engine.request, "POST", "/users/mallory/terminate_connections", {})
    await client.wait_closed()


async def occupy(engine: Engine, client: PusherClient) -> None:
    await client.subscribe("hooked")


ROOM = Follow("room")
MISHAPS: dict[str, Mishap] = {
    "a path that is none": (ROOM, to_a_wrong_path, "refused", "POST /apps/1/event: 404 There is nothing at this path"),
    "another secret": (ROOM, publish(event(), secret="wrong"), "refused", r"/apps/1/events: 401 Invalid signature"),
    "a wrong clock": (ROOM, too_late, "refused", "401 Timestamp expired"),
    "an unknown app": (ROOM, publish(event(), app_id="nope"), "refused", "404 The app nope could not be found"),
    "an app that is off": (
        ROOM,
        publish(event(), app_id="3", key="off-key", secret="off-secret"),
        "refused",
        "403 The app is not enabled",
    ),
    "too many events": (ROOM, too_often, "refused", "/apps/2/events: 429 Too many requests"),
    "too much data": (ROOM, publish(event(data="x" * 20_000)), "refused", "413 The data content"),
    "a wrong channel": (ROOM, publish(event(channel="a b")), "refused", "400 Invalid channel name"),
    "a reserved name": (ROOM, publish(event("pusher:x")), "refused", "400 Event names that begin with"),
    "no JSON": (ROOM, no_json, "refused", "400 The body is not valid JSON"),
    "an idempotency key": (ROOM, repeat, "dropped", "its idempotency key was used before"),
    "an excluded socket": (ROOM, to_all_but, "dropped", "tick of room not to socket {me}, as its sender asks"),
    "a misspelt channel": (
        Follow(event="lost"),
        publish(event("lost", "rooom")),
        "dropped",
        "no worker counts a subscription to rooom, so nobody gets lost",
    ),
    "never subscribed": (
        Follow("hall", "{me}"),
        publish(event()),
        "state",
        "socket {me} is on this worker, .* in room",
    ),
    "left": (ROOM, leave, "left", "socket {me} asks to leave room"),
    "gone": (ROOM, go, "ends", "socket {me} ends: 1000.* it was in room"),
    "refused the channel": (Follow("private-room"), join_badly, "refused", "private-room: Invalid signature"),
    "no auth": (Follow("private-room"), join_without_auth, "refused", "about private-room: .*The client sent no auth"),
    "in it already": (ROOM, join_twice, "refused", "told about room: Existing subscription"),
    "not in its own channel": (
        Follow("private-elsewhere"),
        shout,
        "refused",
        "not subscribed to channel private-elsewhere",
    ),
    "client events off": (
        Follow("private-room"),
        shout_where_nobody_may,
        "refused",
        r"does not have client messaging enabled. \(4301\) `enable_client_messages`",
    ),
    "one member too many": (Follow("presence-room"), be_one_too_many, "refused", "maximum members per presence"),
    "a wrong key": (ROOM, come_with_a_wrong_key, "refused", r"App key no-key does not exist. \(4001\)"),
    "a wrong origin": (Follow(app="4"), come_from_elsewhere, "refused", r"Origin not allowed \(4009\) .*evil.example"),
    "sent away": (Follow(user="mallory"), be_sent_away, "ends", "socket {me} ends: 4009"),
    "a webhook that failed": (Follow("hooked"), occupy, "retried", "of hooked, failed and is tried again: .*500"),
    "a webhook that was given up": (Follow("hooked"), occupy, "dead", "of hooked, is given up after .* 500"),
    "a webhook that came": (Follow("hooked"), occupy, "delivered", "of hooked, was taken at attempt 1"),
}


@pytest.mark.parametrize("name", MISHAPS)
async def test_a_line_names_the_cause(engine: Engine, name: str) -> None:
    follow, do, stage, pattern = MISHAPS[name]
    async with connected(engine.ws_url) as client:
        await client.subscribe("room")
        if follow.socket:
            follow = Follow(follow.channel, client.socket_id)
        async with Story(engine, follow) as story:
            await do(engine, client)
            await story.tells(stage, pattern.replace("{me}", re.escape(client.socket_id)))
            told = " ".join(line.text for line in story.lines)
    assert not [secret for secret in SECRETS if secret in told]


async def test_an_event_on_its_way(engine: Engine) -> None:
    async with connected(engine.ws_url) as client:
        await client.subscribe("cache-room")
        async with Story(engine, Follow("cache-room")) as story:
            await publish(event(channel="cache-room"))(engine, client)
            await story.tells("received", "^app 1: tick to cache-room$")
            await story.tells("cached", "tick is the last event of cache-room now")
            await story.tells("sent", "tick of cache-room to all workers")
            await story.tells("written", f"tick of cache-room to 1 socket of this worker: {client.socket_id}")
            assert not [line for line in story.lines if line.stage in ("dropped", "refused")]


async def test_a_worker_that_is_killed_is_said_and_its_successor_is_followed(engine: Engine) -> None:
    async with Story(engine, ROOM) as story:
        before = engine.workers()
        os.kill(before[0], signal.SIGKILL)
        gone = await story.tells("gone", "has ended, and what it had not told yet is lost")
        after = [line for line in story.lines if line.stage != "gone"]
        await until(lambda: any(each.worker == gone.worker for each in story.lines[len(after) + 1 :]))
        await until(lambda: len(engine.workers()) == 2 and engine.workers() != before)


def test_too_many_traces_are_refused_at_once(engine: Engine) -> None:
    config = load(engine.config_path, {}, 2).config
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_TRACES):
            status, _lines = stack.enter_context(followed(config, ROOM))
            assert status == 0
        refused = engine.command("trace", "--channel", "room")
    assert refused.returncode == 1
    assert f"{MAX_TRACES} traces are under way already" in refused.stderr
    # They have gone, and their places are free.
    wait_until(lambda: engine.command("trace", "--channel", "room", "--seconds", "1").returncode == 0)


def test_the_command_shows_it_and_ends(engine: Engine) -> None:
    words = [PYTHON, "-m", "engine", "trace", "--channel", "room", "--seconds", "1"]
    done = subprocess.run(
        words, cwd=engine.folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "2 of 2 workers follow it for 1 s\n"
    for number in (0, 1):
        shown = rf"^\d\d:\d\d:\d\d\.\d{{3}} worker {number} state      nobody on this worker is in room$"
        assert re.search(shown, done.stdout, re.MULTILINE), done.stdout


def test_what_cannot_be_followed(engine: Engine) -> None:
    done = engine.command("trace")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing is named" in done.stderr
