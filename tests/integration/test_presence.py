"""Membership and occupancy are one truth, whichever worker each client lands on and however it leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

from tests.support.client import connected
from tests.support.engine import Engine
from tests.support.placing import crowd
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until


def test_members_are_the_same_everywhere(engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]) -> None:
    room = unique("presence-room")

    async def scenario() -> int:
        async with AsyncExitStack() as stack:
            watcher, *others = await crowd(stack, engine, 8)
            await watcher.subscribe(room, user_id="watcher")
            rosters = []
            for n, client in enumerate(others):
                rosters.append(await client.subscribe(room, user_id=n % 4, user_info={"n": n % 4}))
            counts = [json.loads(frame["data"])["presence"]["count"] for frame in rosters]
            assert counts == [2, 3, 4, 5] + [5] * (len(others) - 4), "a second connection of a user is no new member"
            last = json.loads(rosters[-1]["data"])["presence"]
            assert sorted(last["ids"]) == ["0", "1", "2", "3", "watcher"]
            assert last["hash"]["3"] == {"n": 3}
            joined = [json.loads((await watcher.next("pusher_internal:member_added"))["data"]) for _ in range(4)]
            assert joined == [{"user_id": str(n), "user_info": {"n": n}} for n in range(4)]

            users = await asyncio.to_thread(engine.request, "GET", f"/channels/{room}/users")
            assert {user["id"] for user in users.json["users"]} == {"0", "1", "2", "3", "watcher"}

            leaving = [client for n, client in enumerate(others) if n % 4 == 0]
            for client in leaving[:-1]:
                await client.unsubscribe(room)
                await client.settle()
            assert await watcher.settle() == [], "user 0 still has a connection here"
            leaving[-1].abort()
            assert json.loads((await watcher.next("pusher_internal:member_removed"))["data"]) == {"user_id": "0"}
            return len(others)

    asyncio.run(scenario())
    everything = ["channel_occupied", *["member_added"] * 5, *["member_removed"] * 5, "channel_vacated"]
    hooks.wait_for_names(everything, "/hook", room)
    events = hooks.events("/hook", room)
    assert next(event["user_id"] for event in events if event["name"] == "member_removed") == "0"
    assert events[2]["data"] == '{"user_id":0,"user_info":{"n":0}}'
    assert len({event["seq"] for event in events}) == len(events)


def test_occupancy_is_counted_over_all_workers(
    engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    channel = unique("news")

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            clients = await crowd(stack, engine, 6)
            for n, client in enumerate(clients):
                await client.subscribe(channel)
                info = {"info": "subscription_count"}
                answer = await asyncio.to_thread(engine.request, "GET", f"/channels/{channel}", params=info)
                assert answer.json == {"occupied": True, "subscription_count": n + 1}
            listed = await asyncio.to_thread(engine.request, "GET", "/channels", params={"filter_by_prefix": channel})
            assert listed.json == {"channels": {channel: {}}}

    asyncio.run(scenario())
    hooks.wait_for_names(["channel_occupied", "channel_vacated"], "/hook", channel)
    assert engine.request("GET", f"/channels/{channel}").json == {"occupied": False}


async def test_every_publish_reaches_everybody_once_and_in_order(engine: Engine, unique: Callable[[str], str]) -> None:
    channel = unique("private-feed")
    async with AsyncExitStack() as stack:
        clients = await crowd(stack, engine, 6)
        for client in clients:
            await client.subscribe(channel)

        def publish() -> None:
            for n in range(40):
                engine.trigger(channel, "n", str(n))

        await asyncio.to_thread(publish)
        for client in clients:
            assert [int((await client.next("n"))["data"]) for _ in range(40)] == list(range(40))
            assert await client.settle() == []


async def test_acknowledged_subscription_misses_nothing(engine: Engine, unique: Callable[[str], str]) -> None:
    """Whoever was told `subscription_succeeded` gets what is published from then on, from any worker."""
    async with connected(engine.ws_url) as client:
        for _ in range(25):
            channel = unique("fresh")
            await client.subscribe(channel)
            await asyncio.to_thread(engine.trigger, channel, "first")
            await client.next("first", channel)
            await client.unsubscribe(channel)


def test_client_event_webhook(engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]) -> None:
    room = unique("presence-chat")

    async def scenario() -> str:
        async with connected(engine.ws_url) as sender:
            await sender.subscribe(room, user_id="ada")
            await sender.send("client-move", {"x": 1}, room)
            await sender.settle()
            return sender.socket_id

    socket_id = asyncio.run(scenario())
    expected = ["channel_occupied", "member_added", "client_event", "member_removed", "channel_vacated"]
    events = {event["name"]: event for event in _wait_for_all(hooks, room, expected)}
    moved = events["client_event"]
    assert (moved["event"], moved["data"], moved["socket_id"], moved["user_id"]) == (
        "client-move",
        '{"x":1}',
        socket_id,
        "ada",
    )
    assert all(request.signed_with("app-secret") for request in hooks.to("/hook"))


def test_halves_of_characters_reach_a_webhook(
    engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    room = unique("presence-cut")

    async def scenario() -> None:
        async with connected(engine.ws_url) as sender:
            await sender.subscribe(room, user_id="ada", user_info={"name": "x\ud83d"})
            await sender.send("client-text", "x\ud83d", room)
            await sender.send("client-object", {"cut": "\ude00", "é": 1.0}, room)
            await sender.settle()

    asyncio.run(scenario())
    events = _wait_for_all(
        hooks,
        room,
        ["channel_occupied", "member_added", "client_event", "client_event", "member_removed", "channel_vacated"],
    )
    told = {event.get("event", event["name"]): event.get("data") for event in events}
    assert told["member_added"] == r'{"user_id":"ada","user_info":{"name":"x\ud83d"}}'
    assert told["client-text"] == "x\ud83d"
    assert told["client-object"] == r'{"cut":"\ude00","é":1.0}'
    assert all(request.signed_with("app-secret") for request in hooks.to("/hook"))


def _wait_for_all(hooks: WebhookReceiver, channel: str, names: list[str]) -> list[dict[str, object]]:
    """Client events come from another worker than occupancy; between the two no order is promised."""
    wait_until(
        lambda: sorted(hooks.names("/hook", channel)) == sorted(names), 10, lambda: hooks.names("/hook", channel)
    )
    return hooks.events("/hook", channel)
