"""What a client does is told after its coming, though the one is seen by its worker and the other decided in Redis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.conftest import EVERY_EVENT
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

ROOMS = 150
CLIENTS = 5
#: So many come in a turn and speak at once, into windows that others have opened at any time before.
PAUSE_S = 0.004


def config(receiver: WebhookReceiver) -> dict[str, Any]:
    hook = {"url": f"{receiver.url}/hook", "event_types": EVERY_EVENT}
    return {
        "app_manager": {"array": {"apps": [APP | {"webhooks": [hook]}]}},
        "webhooks": {"settle_ms": 2_000, "batching": {"enabled": True, "duration": 20}},
    }


async def visit(client: PusherClient, rooms: Sequence[int], chance: random.Random) -> None:
    for room in rooms:
        name = f"presence-{room}"
        await client.subscribe(name, f"u{room}")
        await client.send("client-hello", {}, name)
        await asyncio.sleep(chance.random() * PAUSE_S)
    await client.settle()


async def talk(engine: Engine) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(_come(engine, range(number, ROOMS, CLIENTS), random.Random(number)))


async def _come(engine: Engine, rooms: Sequence[int], chance: random.Random) -> None:
    async with connected(engine.ws_url) as client:
        await visit(client, rooms, chance)


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_is_heard_of_before_having_come(receiver: WebhookReceiver, workers: int) -> None:
    story = ["channel_occupied", "member_added", "client_event", "member_removed", "channel_vacated"]
    with running(config(receiver), workers) as engine:
        asyncio.run(talk(engine))
        wait_until(lambda: len(receiver.events("/hook")) >= ROOMS * len(story))
    told: dict[str, list[str]] = {}
    for event in receiver.events("/hook"):
        told.setdefault(event["channel"], []).append(event["name"])
    assert len(told) == ROOMS
    assert {room: names for room, names in told.items() if names != story} == {}
