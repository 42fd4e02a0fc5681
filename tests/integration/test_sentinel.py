"""Engines behind Sentinel: the master is found, and another one is followed without a restart."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from itertools import groupby
from typing import Any

from tests.support.client import PusherClient, connected
from tests.support.console import Console, answers, options
from tests.support.engine import APP, Engine, running
from tests.support.placing import crowd
from tests.support.receiver import WebhookReceiver
from tests.support.signing import channel_auth
from tests.support.valkey_cluster import Member, WatchedValkey
from tests.support.waiting import until

ROOM, KEPT = "presence-room", "private-kept"
KEEPS = {"history": [{"channels": KEPT}], "presence_history": [{"channels": ROOM}]}


def test_another_master_is_followed(receiver: WebhookReceiver) -> None:
    hook = {"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "channel_vacated"]}
    with WatchedValkey("main", "hush", "watch") as servers:
        redis = {
            "sentinels": [f"127.0.0.1:{servers.sentinel.port}"],
            "sentinel_password": "watch",
            "name": "main",
            "password": "hush",
        }
        config = {
            "database": {"redis": redis},
            "console": options(),
            "app_manager": {"array": {"apps": [APP | KEEPS | {"webhooks": [hook]}]}},
        }
        with running(config, 2, noise=None) as engine:
            asyncio.run(_follow(engine, servers, receiver))
            assert "hush" not in engine.log()


async def _follow(engine: Engine, servers: WatchedValkey, receiver: WebhookReceiver) -> None:
    async with AsyncExitStack() as stack:
        await until(lambda: asyncio.to_thread(answers, engine), what=lambda: "the console answers")
        console = await asyncio.to_thread(Console, engine)
        some = await crowd(stack, engine, 8)
        for n, client in enumerate(some):
            await client.subscribe(ROOM, user_id=f"u{n}")
        await until(lambda: receiver.names("/hook", ROOM) == ["channel_occupied"])
        await asyncio.to_thread(engine.trigger, KEPT, "one")
        stream = _stream(engine)
        assert (stream["next_serial"], stream["state"]["durable_state"]) == (2, "healthy")

        # The old one goes on for seconds as if nothing had happened, and so do connections to it.
        await until(servers.ask_for_another)
        second = servers.current()
        await until(
            lambda: _serves(engine, second),
            what=lambda: (
                _hearing(second),
                [engine.raw("GET", "/ready").body for _ in range(8)],
            ),
        )
        await _publish(engine, some, "after the first")
        await until(lambda: servers.follow(second))
        await until(lambda: _shows(console, len(some)), what=lambda: str(_cluster(console)))
        await _is_told_of_the_gap(engine, stream["stream_id"])

        second.pause()
        await until(lambda: engine.raw("GET", "/ready").status == 503, 3)
        # Unless another master is there before anybody has looked.
        await until(lambda: "error" in _cluster(console) or servers.current() is not second)
        await until(lambda: servers.current() is not second)
        await until(lambda: _serves(engine, servers.current()))
        await _publish(engine, some, "after the second")
        await until(lambda: _shows(console, len(some)), what=lambda: str(_cluster(console)))
        for client in some:
            await client.close()
        # What a replica had not heard of when it was promoted is told again, so that nothing is missing.
        names = ["channel_occupied", "channel_vacated"]
        await until(lambda: _changes(receiver) == names, what=lambda: str(receiver.names("/hook", ROOM)))
        # What a master has lost is told anew, so a member may have come twice; nobody is forgotten.
        changes = {(f"member_{what}", f"u{n}") for what in ("added", "removed") for n in range(len(some))}
        await until(lambda: _came_and_went(engine) == changes, what=lambda: str(_came_and_went(engine)))


async def _is_told_of_the_gap(engine: Engine, before: str) -> None:
    """What was kept goes on, in a stream of another id. The old master may still answer a publish, and forget it."""
    await until(lambda: _stream(engine)["state"]["durable_state"] == "degraded")
    since_ms = time.time_ns() // 1_000_000 - 1
    await asyncio.to_thread(engine.trigger, KEPT, "two")
    by_place = await _replayed(engine, {"stream_id": before, "serial": 1})
    assert by_place[:2] == ["stream_changed", "one"]
    assert by_place[2:] in ([], ["two"])
    assert await _replayed(engine, {"time_ms": since_ms}) in (["stream_changed"], ["stream_changed", "two"], ["two"])


async def _replayed(engine: Engine, replay: dict[str, Any]) -> list[str]:
    """What a new subscriber is given: the reason of a gap, and names of events."""
    async with connected(engine.ws_url) as client:
        data = json.dumps({"replay": replay})
        auth = channel_auth(APP["key"], APP["secret"], client.socket_id, KEPT, data)
        await client.send("pusher:subscribe", {"channel": KEPT, "auth": auth, "channel_data": data})
        await client.next("pusher_internal:subscription_succeeded", KEPT)
        frames = await client.settle()
        return [
            json.loads(frame["data"])["reason"] if frame["event"] == "pusher:history_gap" else frame["event"]
            for frame in frames
        ]


def _stream(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = engine.request("GET", f"/channels/{KEPT}/history/state").json["stream"]
    return found


def _came_and_went(engine: Engine) -> set[tuple[str, str]]:
    answer = engine.request("GET", f"/channels/{ROOM}/presence/history", params={"direction": "oldest_first"})
    return {(item["event"], item["user_id"]) for item in answer.json["items"]}


def _changes(receiver: WebhookReceiver) -> list[str]:
    """What was told of the channel, without repetitions."""
    return [name for name, _ in groupby(receiver.names("/hook", ROOM))]


async def _publish(engine: Engine, clients: list[PusherClient], event: str) -> None:
    await asyncio.to_thread(engine.trigger, ROOM, event)
    for client in clients:
        await client.next(event, ROOM)


def _shows(console: Console, members: int) -> bool:
    """The console asks a master, and lists who is there; the old one is a replica by now, or does not answer."""
    cluster = _cluster(console)
    if "error" in cluster or cluster["redis"]["role"] != "master" or not cluster["led"]:
        return False
    asked = (f"channels?app=1&prefix={ROOM}", f"members?app=1&channel={ROOM}")
    (status, _, rooms), (_, _, present) = (console.request("GET", path) for path in asked)
    return status == 200 and [room["members"] for room in rooms["rows"]] == [members] == [len(present["rows"])]


def _cluster(console: Console) -> dict[str, Any]:
    found: dict[str, Any] = console.look()["cluster"]
    return found


def _serves(engine: Engine, master: Member) -> bool:
    """Both workers hear what is published there, and say that they are ready."""
    # Enough requests that each worker gets some.
    return _hearing(master) == 2 and all(engine.raw("GET", "/ready").status == 200 for _ in range(16))


def _hearing(master: Member) -> int:
    """Workers that hear what is published there."""
    found: int = master.call("PUBSUB", "NUMSUB", f"sockudo_adapter:1/{ROOM}", password="hush")[1]
    return found
