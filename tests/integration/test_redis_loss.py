"""Redis goes away and comes back empty: local traffic never stops, members neither flicker nor go missing, and the
shared state converges to the truth without a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.client import PusherClient, connected
from tests.support.engine import Engine, running
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

ROOM = "presence-room"
MEMBER_EVENTS = ("pusher_internal:member_added", "pusher_internal:member_removed")


@pytest.mark.parametrize("workers", [2])
def test_members_stay_told_over_a_redis_that_loses_everything(workers: int) -> None:
    with ValkeyServer() as server, running({"database": {"redis": {"url": server.url}}}, workers, noise=None) as engine:
        asyncio.run(_lose_and_return(engine, server))


async def _lose_and_return(engine: Engine, server: ValkeyServer) -> None:
    async with AsyncExitStack() as stack:

        async def come(user: str) -> PusherClient:
            client = await stack.enter_async_context(connected(engine.ws_url))
            await client.subscribe(ROOM, user_id=user)
            return client

        clients = {f"u{n}": await come(f"u{n}") for n in range(8)}
        for n, client in enumerate(clients.values()):
            for _ in range(7 - n):
                await client.next("pusher_internal:member_added", ROOM)
        server.kill()
        await until(lambda: engine.raw("GET", "/ready").status == 503)

        # Served alone: a subscription is acknowledged, and what is published reaches the publisher's worker.
        alone = await stack.enter_async_context(connected(engine.ws_url))
        await alone.subscribe("news")
        answer = await asyncio.to_thread(engine.request, "POST", "/events", _event("news"))
        assert answer.status == 200
        late = await come("late")
        await clients.pop("u0").close()

        server.start()
        await until(lambda: engine.raw("GET", "/ready").status == 200)
        expected = {"late", *clients}
        await until(lambda: _members(engine) == expected, what=lambda: str(_members(engine)))

        # Everybody hears of the one that came and the one that left, once, and of nobody else.
        for user, client in clients.items():
            await client.next("pusher_internal:member_removed", ROOM, timeout_s=15)
            told = Counter((f["event"], f["data"]) for f in client.frames if f["event"] in MEMBER_EVENTS)
            assert told == {("pusher_internal:member_added", '{"user_id":"late","user_info":{}}'): 1}, user
        # The newcomer was told whom its worker knew, and hears of the others when they are known again.
        assert not [
            f for f in await late.settle() if f["event"] == "pusher_internal:member_added" and "late" in f["data"]
        ]

        newest = await come("newest")
        for client in (late, *clients.values()):
            await client.take(lambda f: f["event"] == MEMBER_EVENTS[0] and "newest" in f["data"])
        await newest.close()
        for client in (late, *clients.values()):
            await client.take(lambda f: f["event"] == MEMBER_EVENTS[1] and "newest" in f["data"])


def _event(channel: str) -> dict[str, Any]:
    return {"name": "e", "channels": [channel], "data": "{}"}


def _members(engine: Engine) -> set[str]:
    answer = engine.request("GET", f"/channels/{ROOM}/users")
    return {user["id"] for user in answer.json["users"]} if answer.status == 200 else set()
