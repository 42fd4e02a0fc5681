"""Engines behind Sentinel: the master is found, and another one is followed without a restart."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey_cluster import Member, WatchedValkey
from tests.support.waiting import until

ROOM = "presence-room"


def test_another_master_is_followed(receiver: WebhookReceiver) -> None:
    hook = {"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "channel_vacated"]}
    with WatchedValkey("main", "hush", "watch") as servers:
        redis = {
            "sentinels": [f"127.0.0.1:{servers.sentinel.port}"],
            "sentinel_password": "watch",
            "name": "main",
            "password": "hush",
        }
        config = {"database": {"redis": redis}, "app_manager": {"array": {"apps": [APP | {"webhooks": [hook]}]}}}
        with running(config, 2, noise=None) as engine:
            asyncio.run(_follow(engine, servers, receiver))
            assert "hush" not in engine.log()


async def _follow(engine: Engine, servers: WatchedValkey, receiver: WebhookReceiver) -> None:
    async with AsyncExitStack() as stack:
        some = [await stack.enter_async_context(connected(engine.ws_url)) for _ in range(8)]
        for n, client in enumerate(some):
            await client.subscribe(ROOM, user_id=f"u{n}")
        await until(lambda: receiver.names("/hook", ROOM) == ["channel_occupied"])

        # The old one goes on for seconds as if nothing had happened, and so do connections to it.
        await until(servers.ask_for_another)
        second = servers.current()
        await until(
            lambda: _serves(engine, second),
            what=lambda: (
                second.call("PUBSUB", "NUMSUB", f"sockudo_adapter:1/{ROOM}", password="hush"),
                [engine.raw("GET", "/ready").body for _ in range(8)],
            ),
        )
        await _publish(engine, some, "after the first")
        await until(lambda: servers.follow(second))

        second.pause()
        await until(lambda: engine.raw("GET", "/ready").status == 503, 3)
        await until(lambda: servers.current() is not second)
        await until(lambda: _serves(engine, servers.current()))
        await _publish(engine, some, "after the second")
        for client in some:
            await client.close()
        names = ["channel_occupied", "channel_vacated"]
        await until(lambda: receiver.names("/hook", ROOM) == names, what=lambda: str(receiver.names("/hook", ROOM)))


async def _publish(engine: Engine, clients: list[PusherClient], event: str) -> None:
    await asyncio.to_thread(engine.trigger, ROOM, event)
    for client in clients:
        await client.next(event, ROOM)


def _serves(engine: Engine, master: Member) -> bool:
    """Both workers hear what is published there, and say that they are ready."""
    found = master.call("PUBSUB", "NUMSUB", f"sockudo_adapter:1/{ROOM}", password="hush")
    # Enough requests that each worker gets some.
    return found[1] == 2 and all(engine.raw("GET", "/ready").status == 200 for _ in range(16))
