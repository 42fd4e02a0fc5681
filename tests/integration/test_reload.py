"""SIGHUP: the applications of the file change in an engine that serves, within a second, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import until, wait_until

STEADY = APP | {"id": "steady", "key": "steady-key", "secret": "steady-secret"}
AS_STEADY = {"app_id": "steady", "key": "steady-key", "secret": "steady-secret"}
#: What the promise is held to here; the engine itself takes some hundredths of it.
WITHIN_S = 5.0
FOLLOWED = "every worker follows it"
REFUSED = "nothing has changed"


@pytest.fixture(scope="module", params=[1, 2], ids=["1-worker", "2-workers"])
def shared(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running(with_apps(APP), request.param) as started:
        yield started


@pytest.fixture
def engine(shared: Engine) -> Iterator[Engine]:
    """One that serves the applications it was started with, and has logged nothing yet."""
    shared.turn_page()
    yield shared
    hang_up(shared, json.dumps(shared.config), FOLLOWED)


def with_apps(*apps: dict[str, Any]) -> dict[str, Any]:
    """A configuration with these applications beside the one that must not notice anything."""
    return {"app_manager": {"array": {"apps": [STEADY, *apps]}}}


def reload(engine: Engine, *apps: dict[str, Any], **options: Any) -> None:
    """Write the file anew, send SIGHUP and wait until every worker follows it."""
    config = {**engine.config, **with_apps(*apps), **options}
    hang_up(engine, json.dumps(config), FOLLOWED)


def hang_up(engine: Engine, text: str, answer: str) -> None:
    told = engine.log().count(answer)
    engine.config_path.write_text(text)
    engine.process.send_signal(signal.SIGHUP)
    wait_until(lambda: engine.log().count(answer) > told, WITHIN_S, engine.log)


class Traffic:
    """Somebody else's application: publishes all the time to a client on each worker, and misses nothing."""

    def __init__(self, engine: Engine, clients: list[PusherClient]) -> None:
        self._engine = engine
        self._clients = clients
        self._published = 0

    async def run(self) -> None:
        while True:
            event = {"name": "tick", "channels": ["private-steady"], "data": str(self._published)}
            answer = await asyncio.to_thread(self._engine.request, "POST", "/events", event, **AS_STEADY)
            assert answer.status == 200, answer
            self._published += 1

    async def check(self) -> None:
        """Every client is connected as before and has everything, in order."""
        expected = [str(number) for number in range(self._published)]
        assert len(expected) > 3
        for client in self._clients:
            await until(lambda client=client: len(client.frames) >= len(expected))  # type: ignore[misc]
            assert client.close_code is None
            ticks = [frame["data"] for frame in await client.settle() if frame["event"] == "tick"]
            assert ticks[: len(expected)] == expected


@asynccontextmanager
async def undisturbed(engine: Engine) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(4):
            client = await stack.enter_async_context(connected(engine.ws_url, "steady-key", "steady-secret"))
            await client.subscribe("private-steady")
            clients.append(client)
        workers = engine.workers()
        traffic = Traffic(engine, clients)
        task = asyncio.create_task(traffic.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await traffic.check()
        assert engine.workers() == workers


async def reloaded(engine: Engine, *apps: dict[str, Any]) -> None:
    await asyncio.to_thread(reload, engine, *apps)


async def test_an_application_comes_and_goes(engine: Engine) -> None:
    new = APP | {"id": "2", "key": "key-2", "secret": "secret-2"}
    async with undisturbed(engine):
        async with connected(engine.ws_url, "key-2", "secret-2", wait=False) as stranger:
            assert await stranger.wait_closed() == 4001
        await reloaded(engine, APP, new)
        assert "applications: added 2\n" in engine.log()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(engine.ws_url, "key-2", "secret-2")) for _ in range(6)]
            for client in clients:
                await client.subscribe("private-room")
            event = {"name": "e", "channels": ["private-room"], "data": "{}"}
            answer = await asyncio.to_thread(
                engine.request, "POST", "/events", event, app_id="2", key="key-2", secret="secret-2"
            )
            assert answer.status == 200
            for client in clients:
                await client.next("e")
            await reloaded(engine, APP)
            for client in clients:
                error = await client.next("pusher:error")
                assert error["data"]["code"] == 4001
                assert await client.wait_closed() == 4001
        answer = await asyncio.to_thread(engine.request, "GET", "/channels", app_id="2", key="key-2", secret="secret-2")
        assert answer.status == 404
        assert "applications: removed 2\n" in engine.log()


def test_it_takes_less_than_a_second(engine: Engine) -> None:
    for number in range(2, 5):
        reload(engine, APP, APP | {"id": str(number), "key": f"key-{number}"})
        assert engine.raw("GET", f"/up/{number}").status == 200
    took_ms = [int(found) for found in re.findall(f"{FOLLOWED}, after ([0-9]+) ms", engine.log())]
    assert len(took_ms) == 3
    assert min(took_ms) < 1000, "the best of three, for a busy machine"


async def test_a_secret_is_rotated(engine: Engine) -> None:
    async with undisturbed(engine), connected(engine.ws_url) as client:
        await client.subscribe("private-before")
        await reloaded(engine, APP | {"secret": "new-secret", "previous_secret": "app-secret"})
        await client.subscribe("private-old")
        client.secret = "new-secret"
        await client.subscribe("private-new")
        await reloaded(engine, APP | {"secret": "new-secret"})
        await client.subscribe("private-newer")
        client.secret = "app-secret"
        await client.send("pusher:subscribe", client.subscription("private-too-old"))
        await client.next("pusher:subscription_error", "private-too-old")
        assert (await asyncio.to_thread(engine.request, "GET", "/channels")).status == 401
        answer = await asyncio.to_thread(engine.request, "GET", "/channels", secret="new-secret")
        assert set(answer.json["channels"]) == {"private-before", "private-old", "private-new", "private-newer"}


async def test_a_disabled_application_has_no_connections(engine: Engine) -> None:
    async with undisturbed(engine):
        async with connected(engine.ws_url) as first, connected(engine.ws_url) as second:
            await first.subscribe("private-room")
            await reloaded(engine, APP | {"enabled": False})
            for client in (first, second):
                assert (await client.next("pusher:error"))["data"]["code"] == 4003
                assert await client.wait_closed() == 4003
        event = {"name": "e", "channels": ["room"], "data": "{}"}
        assert (await asyncio.to_thread(engine.request, "POST", "/events", event)).status == 403
        async with connected(engine.ws_url, wait=False) as stranger:
            assert await stranger.wait_closed() == 4003
        await reloaded(engine, APP)
        async with connected(engine.ws_url) as back:
            await back.subscribe("private-room")


async def test_flags_and_limits_apply_to_who_is_here(engine: Engine) -> None:
    async with undisturbed(engine), connected(engine.ws_url) as client:
        await client.subscribe("private-a")
        await reloaded(engine, APP | {"enable_client_messages": False, "max_channels_per_connection": 2})
        await client.send("client-typing", {}, "private-a")
        assert (await client.next("pusher:error"))["data"]["code"] == 4301
        await client.subscribe("private-b")
        await client.send("pusher:subscribe", client.subscription("private-c"))
        assert (await client.next("pusher:subscription_error"))["data"]["type"] == "LimitReached"
        await reloaded(engine, APP)
        await client.subscribe("private-c")


async def test_the_limit_of_connections_counts_who_is_here(engine: Engine) -> None:
    async with undisturbed(engine), connected(engine.ws_url) as first, connected(engine.ws_url) as second:
        await reloaded(engine, APP | {"max_connections": 2})
        await until_newcomers(engine, refused=True)
        await first.close()
        await until_newcomers(engine, refused=False)
        await reloaded(engine, APP)
        async with connected(engine.ws_url) as third, connected(engine.ws_url) as fourth:
            await reloaded(engine, APP | {"max_connections": 2})
            await until_newcomers(engine, refused=True)
            assert second.close_code is third.close_code is fourth.close_code is None
            await fourth.close()
            await third.close()
            await until_newcomers(engine, refused=False)


async def until_newcomers(engine: Engine, *, refused: bool) -> None:
    """Workers tell each other of connections that came, stayed or went; that may take a moment."""
    end = asyncio.get_running_loop().time() + WITHIN_S
    while True:
        async with connected(engine.ws_url, wait=False) as newcomer:
            frame = await newcomer.take(lambda frame: True)
        if (frame["event"] == "pusher:error") is refused:
            assert not refused or frame["data"]["code"] == 4004
            return
        assert asyncio.get_running_loop().time() < end, frame


def test_what_cannot_be_used_changes_nothing() -> None:
    with running(with_apps(APP), noise=re.compile(r"Traceback|ERROR +worker|CRITICAL")) as engine:
        before = engine.config_path.read_text()
        wrong = {**engine.config, **with_apps(APP | {"max_connections": -5, "secret": {"is": "hidden"}}), "prot": 1}
        twice = {**engine.config, **with_apps(APP, APP)}
        for text in ("{", json.dumps(wrong), json.dumps(twice)):
            hang_up(engine, text, REFUSED)
            assert engine.request("GET", "/channels").status == 200
        log = engine.log()
        assert "line 1, column 2: not valid JSON" in log
        assert "app_manager.array.apps[1].max_connections: -5 is out of range" in log
        assert 'prot: unknown key; did you mean "port"?' in log
        assert 'app_manager.array.apps[2].id: "1" is already the id of' in log
        assert "hidden" not in log
        hang_up(engine, before, FOLLOWED)
        assert "applications: none changed" in engine.log()
        counted = re.findall(r'config_reloads_total{result="(\w+)".*} (\d+)', engine.metrics())
        assert sorted(counted) == [("followed", "1"), ("refused", "3")]


def test_what_needs_a_restart_is_named(engine: Engine) -> None:
    limits = {"event_limits": {"max_name_length": 5}, "max_connections": 7, "websocket": {"max_backpressure": 5000}}
    reload(engine, APP, **limits)
    assert "changed, but not before a restart: max_connections, websocket.max_backpressure" in engine.log()
    assert "applications: changed steady, 1" in engine.log()
    event = {"name": "longer", "channels": ["room"], "data": "{}"}
    assert engine.request("POST", "/events", event).status == 400


def test_a_worker_that_starts_later_has_the_newest(engine: Engine) -> None:
    reload(engine, APP, APP | {"id": "2", "key": "key-2"})
    engine.config_path.write_text("{")
    killed = engine.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len({*engine.workers()} - {*killed}) == len(killed) and _answers(engine, "/up/2"))
    assert engine.request("GET", "/channels", app_id="2", key="key-2").status == 200


def _answers(engine: Engine, path: str) -> bool:
    with contextlib.suppress(OSError):
        return engine.raw("GET", path).status == 200
    return False


def test_a_sighup_for_every_process_ends_none(engine: Engine) -> None:
    before = engine.processes()
    told = engine.log().count(FOLLOWED)
    for pid in before:
        os.kill(pid, signal.SIGHUP)
    wait_until(lambda: engine.log().count(FOLLOWED) > told, WITHIN_S)
    assert engine.processes() == before


async def test_webhooks_come_and_go(engine: Engine, receiver: WebhookReceiver) -> None:
    def hook(path: str, *names: str) -> dict[str, Any]:
        return {"url": f"{receiver.url}{path}", "event_types": [*names]}

    occupancy = ("channel_occupied", "channel_vacated")

    async with undisturbed(engine):
        async with connected(engine.ws_url) as client:
            await client.subscribe("before")
            await reloaded(engine, APP | {"webhooks": [hook("/a", *occupancy, "client_event")]})
            await client.subscribe("private-after")
            await client.send("client-hello", {}, "private-after")
            await client.unsubscribe("before")
            # Occupied before the webhook was there: told of what happens from then on, and of nothing else.
            await asyncio.to_thread(receiver.wait_for_names, ["channel_vacated"], "/a", "before")
            await until(lambda: sorted(receiver.names("/a", "private-after")) == ["channel_occupied", "client_event"])
            moved = hook("/b", *occupancy) | {"signature_format": "hex"}
            await reloaded(engine, APP | {"secret": "other", "webhooks": [moved]})
            await client.unsubscribe("private-after")
            await asyncio.to_thread(receiver.wait_for_names, ["channel_vacated"], "/b", "private-after")
            (request,) = receiver.to("/b")
            assert request.signed_with("other", prefix="")
            await reloaded(engine, APP)
            await client.subscribe("unheard")
            await client.settle()
        assert receiver.events(channel="unheard") == []


async def test_counts_and_watchlists_are_switched_on(engine: Engine) -> None:
    off = APP | {"enable_watchlist_events": False}
    async with undisturbed(engine):
        await reloaded(engine, off)
        async with connected(engine.ws_url) as first, connected(engine.ws_url) as second:
            await first.subscribe("room")
            await first.signin("ada", watchlist=["bob"])
            assert [frame["event"] for frame in await first.settle()] == []
            await reloaded(engine, APP | {"enable_subscription_count": True})
            await second.subscribe("room")
            told = await first.next("pusher_internal:subscription_count", "room")
            assert json.loads(told["data"])["subscription_count"] == 2
            await second.signin("eve", watchlist=["bob"])
            frame = await second.take(lambda frame: "watchlist" in frame["event"])
            assert "bob" in json.dumps(frame)
            async with connected(engine.ws_url) as third:
                await third.signin("bob")
                await second.take(lambda frame: "watchlist" in frame["event"] and "online" in json.dumps(frame))
            await reloaded(engine, off)
            await second.unsubscribe("room")
            assert [frame["event"] for frame in await first.settle()] == []
