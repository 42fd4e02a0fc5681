"""Watchlists: who of them is online, told at sign-in and with every change, on whatever worker (U-13 to U-16)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.integration.test_presence import crowd
from tests.integration.test_pusher_js import browser  # noqa: F401 (a fixture)
from tests.support.client import PusherClient, connected
from tests.support.engine import Engine, running
from tests.support.signing import compact, user_auth
from tests.support.waiting import wait_until

EVENTS = "pusher_internal:watchlist_events"


async def told(client: PusherClient) -> list[tuple[str, list[str]]]:
    frame = await client.next(EVENTS)
    assert set(frame) == {"event", "data"}
    return [(event["name"], event["user_ids"]) for event in json.loads(frame["data"])["events"]]


async def test_every_change_is_told_once_to_every_watcher(engine: Engine, unique: Callable[[str], str]) -> None:
    ada, bob, nobody = unique("ada"), unique("bob/1"), unique("nobody")
    async with AsyncExitStack() as stack:
        watchers = await crowd(stack, engine, 4)
        async with connected(engine.ws_url) as first, connected(engine.ws_url) as second:
            await first.signin(ada)
            for watcher in watchers:
                await watcher.signin(unique("watcher"), watchlist=[ada, bob, nobody])
                assert await told(watcher) == [("online", [ada]), ("offline", [bob, nobody])]
            await second.signin(ada)
            async with connected(engine.ws_url) as third:
                await third.signin(bob)
                for watcher in watchers:
                    assert await told(watcher) == [("online", [bob])]
            for watcher in watchers:
                assert await told(watcher) == [("offline", [bob])]
            await first.close()
            for watcher in watchers:
                assert await watcher.settle() == [], "ada has another connection"
            second.abort()
            for watcher in watchers:
                assert await told(watcher) == [("offline", [ada])]
        for watcher in watchers:
            assert await watcher.settle() == []


async def test_the_first_frame_comes_after_the_sign_in(engine: Engine, unique: Callable[[str], str]) -> None:
    async with connected(engine.ws_url) as client:
        me = unique("me")
        await _sign_in(client, me, [me])
        first = await client.take(lambda _: len(client.frames) == 2)
        assert first["event"] == "pusher:signin_success"
        assert await told(client) == [("online", [me])]
        await _sign_in(client, me, [me])
        assert [frame["event"] for frame in await client.settle()] == ["pusher:signin_success"]


@pytest.mark.parametrize("watchlist", [None, [], "u2", {"u": 1}, [1, None, "", "a\nb"]])
async def test_who_watches_nobody_is_told_nothing(engine: Engine, unique: Callable[[str], str], watchlist: Any) -> None:
    async with connected(engine.ws_url) as client:
        await client.signin(unique("user"), watchlist=watchlist)
        assert await client.settle() == []


async def test_only_the_first_hundred_are_watched(engine: Engine, unique: Callable[[str], str]) -> None:
    users = [unique("user") for _ in range(102)]
    async with connected(engine.ws_url) as watcher, connected(engine.ws_url) as last:
        await watcher.signin(unique("watcher"), watchlist=users)
        error = await watcher.next("pusher:error")
        assert error["data"]["code"] == 4302
        assert await told(watcher) == [("offline", users[:100])]
        await last.signin(users[100])
        async with connected(engine.ws_url) as hundredth:
            await hundredth.signin(users[99])
            assert await told(watcher) == [("online", [users[99]])]
        assert await told(watcher) == [("offline", [users[99]])]


async def test_watching_is_no_subscription(engine: Engine, unique: Callable[[str], str]) -> None:
    user = unique("user")
    async with connected(engine.ws_url) as watcher, connected(engine.ws_url) as watched:
        await watcher.signin(unique("watcher"), watchlist=[user])
        assert await told(watcher) == [("offline", [user])]
        await watcher.unsubscribe(f"#watch-{user}")
        await watcher.send("pusher:subscribe", {"channel": f"#watch-{user}"})
        await watcher.next("pusher:subscription_error", f"#watch-{user}")
        answer = await asyncio.to_thread(
            engine.request, "POST", "/events", {"name": "e", "channels": [f"#watch-{user}"], "data": "{}"}
        )
        assert answer.status == 400
        await watched.signin(user)
        assert await told(watcher) == [("online", [user])]
        listed = await asyncio.to_thread(engine.request, "GET", "/channels", params={"filter_by_prefix": "#"})
        assert listed.json == {"channels": {}}


def test_pusher_js_understands(
    engine: Engine,
    browser: Callable[..., Any],  # noqa: F811
    unique: Callable[[str], str],
) -> None:
    ada, bob, carol = unique("ada"), unique("bob"), unique("carol")
    page = browser(user={"id": unique("watcher"), "watchlist": [ada, bob, carol]})
    friend = browser(user={"id": ada})
    friend("signin")
    page("signin")
    assert page.take(kind="watchlist", name="online")["users"] == [ada]
    assert page.take(kind="watchlist", name="offline")["users"] == [bob, carol]
    friend.close()
    assert page.take(kind="watchlist", name="offline")["users"] == [ada]


async def test_without_the_flag_nobody_watches(engine: Engine) -> None:
    async with connected(engine.ws_url, "watches-nobody") as client:
        await client.signin("ada", watchlist=[f"user-{n}" for n in range(200)])
        assert await client.settle() == []


# --- engines of their own


@pytest.fixture
def pair() -> Iterator[Engine]:
    with running(workers=2) as started:
        yield started


def test_the_users_of_a_dead_worker_are_offline(pair: Engine) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            clients = await crowd(stack, pair, 6)
            victim = pair.worker_of(clients[0].local_port)
            doomed = [client for client in clients if pair.worker_of(client.local_port) == victim]
            watcher = next(client for client in clients if client not in doomed)
            users = [f"user-{n}" for n in range(len(doomed))]
            for client, user in zip(doomed, users, strict=True):
                await client.signin(user)
            await watcher.signin("watcher", watchlist=[*users, "watcher"])
            assert await told(watcher) == [("online", [*users, "watcher"])]
            os.kill(victim, signal.SIGKILL)
            gone = [user for _ in users for name, ids in await told(watcher) for user in ids if name == "offline"]
            assert sorted(gone) == users
            assert await watcher.settle() == []

    asyncio.run(scenario())
    wait_until(lambda: len(pair.workers()) == 2, what="two workers again")


async def _sign_in(client: PusherClient, user_id: str, watchlist: list[str]) -> None:
    user_data = compact({"id": user_id, "watchlist": watchlist})
    auth = user_auth(client.key, client.secret, client.socket_id, user_data)
    await client.send("pusher:signin", {"auth": auth, "user_data": user_data})
