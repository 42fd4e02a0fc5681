"""Redis goes away and comes back empty: watchers and counted channels hear what changed meanwhile, once."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

from tests.integration.test_presence import crowd
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

WATCHED = "pusher_internal:watchlist_events"
COUNTED = "pusher_internal:subscription_count"


def test_watchers_and_counts_over_a_redis_that_loses_everything() -> None:
    app = APP | {"enable_subscription_count": True}
    with ValkeyServer() as server:
        config = {"database": {"redis": {"url": server.url}}, "app_manager": {"array": {"apps": [app]}}}
        with running(config, 2, noise=None) as engine:
            asyncio.run(_lose_and_return(engine, server))


async def _lose_and_return(engine: Engine, server: ValkeyServer) -> None:
    async with AsyncExitStack() as stack:
        clients = await crowd(stack, engine, 6)
        for n, client in enumerate(clients):
            await client.signin(f"user-{n}")
            await client.subscribe("room")
        watchers = await crowd(stack, engine, 4)
        size = len(clients)
        users = [f"user-{n}" for n in range(size)]
        for watcher in watchers:
            await watcher.signin("watcher", watchlist=[*users, "late"])
            assert _told(await watcher.next(WATCHED)) == [("online", users), ("offline", ["late"])]
            await watcher.subscribe("room")
        total = size + len(watchers)
        for watcher in watchers:
            await watcher.take(lambda frame: _count(frame) == total)

        server.kill()
        await until(lambda: engine.raw("GET", "/ready").status == 503)
        await clients[0].close()
        late = await stack.enter_async_context(connected(engine.ws_url))
        await late.signin("late")
        server.start()
        await until(lambda: engine.raw("GET", "/ready").status == 200)

        for watcher in watchers:
            changes = [await watcher.next(WATCHED, timeout_s=15) for _ in range(2)]
            assert sorted(change for frame in changes for change in _told(frame)) == [
                ("offline", ["user-0"]),
                ("online", ["late"]),
            ]
        # While workers announce what they hold, the number is what is known so far; in the end it is right.
        for watcher in watchers:
            await watcher.take(lambda frame: _count(frame) == total - 1, 15)
        await clients[1].close()
        for watcher in watchers:
            assert _told(await watcher.next(WATCHED)) == [("offline", ["user-1"])]
            await watcher.take(lambda frame: _count(frame) == total - 2)
            assert _watched(await watcher.settle()) == []


def _told(frame: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [(event["name"], event["user_ids"]) for event in json.loads(frame["data"])["events"]]


def _count(frame: dict[str, str]) -> int:
    return int(json.loads(frame["data"])["subscription_count"]) if frame["event"] == COUNTED else -1


def _watched(frames: list[dict[str, str]]) -> list[dict[str, str]]:
    return [frame for frame in frames if frame["event"] == WATCHED]
