"""Many clients coming and going at once: the webhooks still tell a story without gaps, and end in the truth."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.integration.conftest import shared_config
from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import until

CLIENTS = 100
USERS = 10
ROUNDS = 5
ROOM = "presence-churn"


@pytest.mark.parametrize("settle_ms", [0, 30])
def test_webhooks_alternate_and_end_in_the_truth(receiver: WebhookReceiver, settle_ms: int) -> None:
    webhooks = {"settle_ms": settle_ms, "batching": {"enabled": True, "duration": 5}}
    with running(shared_config(receiver) | {"webhooks": webhooks}, workers=2) as engine:
        asyncio.run(_churn(engine, receiver, random.Random(settle_ms)))
    events = receiver.events("/hook", ROOM)

    occupancy = [event["name"] for event in events if event["name"].startswith("channel_")]
    assert occupancy == ["channel_occupied", "channel_vacated"] * (len(occupancy) // 2)
    stories = {user: [event for event in events if event.get("user_id") == user] for user in _everybody()}
    for user, story in stories.items():
        names = [event["name"] for event in story]
        assert names == ["member_added", "member_removed"] * (len(names) // 2), user
    for story in (*stories.values(), [event for event in events if "user_id" not in event]):
        order = [event["seq"] for event in story]
        assert order == sorted(set(order)), "told once each, in the order in which it happened"
    assert len({event["seq"] for event in events}) == len(events)


def _everybody() -> set[str]:
    return {f"u{n}" for n in range(USERS)}


async def _churn(engine: Engine, receiver: WebhookReceiver, chance: random.Random) -> None:
    everybody = _everybody()
    for _ in range(ROUNDS):
        await asyncio.gather(*(_visit(engine, f"u{n % USERS}", chance) for n in range(CLIENTS)))
    await until(lambda: _told(receiver) == (False, set()), what=lambda: str(_told(receiver)))
    assert await _members(engine) == set()

    async with AsyncExitStack() as staying:
        for user in everybody:
            client = await staying.enter_async_context(connected(engine.ws_url))
            await client.subscribe(ROOM, user_id=user)
        await asyncio.gather(*(_visit(engine, f"u{n % USERS}", chance) for n in range(CLIENTS)))
        await until(lambda: _told(receiver) == (True, everybody), what=lambda: str(_told(receiver)))
        assert await _members(engine) == everybody
    await until(lambda: _told(receiver) == (False, set()), what=lambda: str(_told(receiver)))


async def _visit(engine: Engine, user: str, chance: random.Random) -> None:
    """Come, perhaps wait for the answer, and go in one of the ways there are."""
    await asyncio.sleep(chance.random() * 0.05)
    async with connected(engine.ws_url) as client:
        await client.send("pusher:subscribe", client.subscription(ROOM, user))
        if chance.random() < 0.5:
            await client.next("pusher_internal:subscription_succeeded", ROOM)
        if chance.random() < 0.3:
            await client.unsubscribe(ROOM)
            await client.send("pusher:subscribe", client.subscription(ROOM, user))
        way = chance.choice(["unsubscribe", "close", "abort"])
        if way == "unsubscribe":
            await client.unsubscribe(ROOM)
            await client.settle()
        elif way == "abort":
            client.abort()


def _told(receiver: WebhookReceiver) -> tuple[bool, set[str]]:
    """What somebody believes who knows the webhooks alone: whether the room is occupied, and by whom."""
    occupied, members = False, set()
    for event in receiver.events("/hook", ROOM):
        match event["name"]:
            case "channel_occupied" | "channel_vacated" as name:
                occupied = name == "channel_occupied"
            case "member_added":
                members.add(event["user_id"])
            case "member_removed":
                members.discard(event["user_id"])
    return occupied, members


async def _members(engine: Engine) -> set[str]:
    answer: dict[str, Any] = (await asyncio.to_thread(engine.request, "GET", f"/channels/{ROOM}/users")).json
    return {user["id"] for user in answer["users"]}
