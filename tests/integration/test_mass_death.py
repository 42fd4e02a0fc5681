"""A worker that holds ten thousand channels is killed: each is vacated once, also when its purge is cut short."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from engine.occupancy.redis_keys import Keys
from tests.support.engine import APP, Engine, running
from tests.support.placing import connected_to, leader
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until, wait_until

CHANNELS = 10_000
CONNECTIONS = 4
#: The promise is one second. On a machine that runs other tests meanwhile everything takes longer.
BOUND_S = 15.0
PREFIX = "t:"


def config(receiver: WebhookReceiver, valkey: ValkeyServer) -> dict[str, Any]:
    webhooks = [{"url": f"{receiver.url}/hook", "event_types": ["channel_vacated"]}]
    return {
        "app_manager": {"array": {"apps": [APP | {"webhooks": webhooks}]}},
        "database": {"redis": {"url": valkey.url, "key_prefix": PREFIX}},
        "webhooks": {"settle_ms": 0, "batching": {"enabled": True, "duration": 10}},
        # A few connections hold all of them, and take them at once.
        "channel_limits": {"max_per_connection": 0, "max_joins_per_second": 0},
        "websocket": {"max_frames_per_second": 0},
    }


@pytest.mark.parametrize("leader_dies", [False, True], ids=["purged-in-peace", "leader-killed-half-way"])
def test_every_channel_is_vacated_exactly_once(receiver: WebhookReceiver, leader_dies: bool) -> None:
    with (
        ValkeyServer() as valkey,
        valkey.client() as client,
        running(config(receiver, valkey), workers=3) as engine,
    ):
        killed_at = asyncio.run(_hold_and_kill(engine, client, leader_dies))
        wait_until(lambda: _told(receiver) >= CHANNELS, what=lambda: f"told: {_told(receiver)}")
        events = _told_once(receiver)
        decided_s = max(event["time_ms"] for event in events) / 1000 - killed_at
        told_s = receiver.to("/hook")[-1].at - time.monotonic() + time.time() - killed_at
        print(f"{CHANNELS} channels vacated within {decided_s:.2f} s, told within {told_s:.2f} s")
        assert decided_s < BOUND_S
        wait_until(lambda: len(engine.workers()) == 3, what="three workers again")
        assert engine.request("GET", "/channels").json == {"channels": {}}
    # The engine has stopped and told all it had to tell.
    assert Counter(e["channel"] for e in _told_once(receiver)) == Counter(f"room-{n}" for n in range(CHANNELS))


async def _hold_and_kill(engine: Engine, client: redis.Redis, leader_dies: bool) -> float:
    """The time at which the worker was killed that held all channels."""
    leading = leader(engine)
    victim = next(pid for pid in engine.workers() if pid != leading)
    async with AsyncExitStack() as stack:
        for number in range(CONNECTIONS):
            holder = await connected_to(stack, engine, victim)
            for n in range(number, CHANNELS, CONNECTIONS):
                await holder.send("pusher:subscribe", {"channel": f"room-{n}"})
        holds = f"{Keys(PREFIX).base}worker:*"
        (key,) = await until(lambda: [k for k in client.keys(holds) if client.hlen(k) == CHANNELS])
        killed_at = time.time()
        os.kill(victim, signal.SIGKILL)
        if leader_dies:
            # No pause between two looks: half of the purge is over soon.
            while (left := client.hlen(key)) > CHANNELS / 2:
                assert time.time() < killed_at + 20
            os.kill(leading, signal.SIGKILL)
            assert left > 0, "too late: the purge is over"
    return killed_at


def _told(receiver: WebhookReceiver) -> int:
    return sum(request.body.count(b'"channel_vacated"') for request in receiver.to("/hook"))


def _told_once(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    """Events as an application sees them that knows each request by its id: one may come twice when its sender dies."""
    bodies: dict[str, bytes] = {}
    for request in receiver.to("/hook"):
        webhook_id = request.headers["x-webhook-id"]
        assert bodies.setdefault(webhook_id, request.body) == request.body
    return [event for body in bodies.values() for event in json.loads(body)["events"]]
