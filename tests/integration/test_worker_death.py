"""A worker is killed: what it alone held is given up once and soon, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.conftest import shared_config
from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.placing import connected_to
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import until, wait_until

SETTLE_S = 0.2
CHANNELS = 20


@pytest.fixture
def engine(receiver: WebhookReceiver) -> Iterator[Engine]:
    """An engine of its own, with two workers."""
    webhooks = {"settle_ms": int(SETTLE_S * 1000), "batching": {"enabled": True, "duration": 10}}
    with running(shared_config(receiver) | {"webhooks": webhooks}, workers=2) as started:
        yield started


def test_killed_workers_are_given_up_once(engine: Engine, receiver: WebhookReceiver) -> None:
    """Both are killed in turn, so the leader is among them, whichever it was."""
    for number, victim in enumerate(engine.workers()):
        asyncio.run(_kill(engine, receiver, victim, number))
        wait_until(lambda: len(engine.workers()) == 2, what="two workers again")
    for number in range(2):
        # Its last subscriber has just left; that is told after the settling time.
        wait_until(lambda number=number: _names(receiver, f"shared-{number}")[-1] == "channel_vacated")
    # What was told too often or too late would have come by the time of a later transition.
    names = {channel: _names(receiver, channel) for channel in {e["channel"] for e in receiver.events("/hook")}}
    wrong = {channel: told for channel, told in names.items() if not _alternates(told)}
    assert not wrong


async def _kill(engine: Engine, receiver: WebhookReceiver, victim: int, number: int) -> None:
    lonely = [f"lonely-{number}-{n}" for n in range(CHANNELS)]
    room, shared = f"presence-lonely-{number}", f"shared-{number}"
    async with AsyncExitStack() as stack:
        doomed = await connected_to(stack, engine, victim)
        safe = await connected_to(stack, engine, *(pid for pid in engine.workers() if pid != victim))
        for channel in lonely:
            await doomed.subscribe(channel)
        await doomed.subscribe(room, user_id="ada")
        await doomed.subscribe(shared)
        await safe.subscribe(shared)
        await until(lambda: _names(receiver, room) == ["channel_occupied", "member_added"])

        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        assert await doomed.wait_closed() == 1006
        gone = [*lonely, room]
        await until(lambda: all(_names(receiver, channel)[-1] == "channel_vacated" for channel in gone))
        late = [r.at - killed_at for r in receiver.to("/hook") if r.at > killed_at]
        assert max(late) < 1 + SETTLE_S, "each within a second, and the settling time"

        assert safe.close_code is None
        await asyncio.to_thread(engine.trigger, shared, "still-here")
        await safe.next("still-here", shared)
        answer = await asyncio.to_thread(
            engine.request, "GET", f"/channels/{shared}", params={"info": "subscription_count"}
        )
        assert answer.json == {"occupied": True, "subscription_count": 1}
        assert _names(receiver, shared) == ["channel_occupied"]

        # Its place is taken again, and its clients can come back.
        again = await stack.enter_async_context(connected(engine.ws_url))
        await again.subscribe(lonely[0])
        await asyncio.to_thread(engine.trigger, lonely[0], "welcome")
        await again.next("welcome", lonely[0])
    expected = ["channel_occupied", "channel_vacated"] * 2
    await until(lambda: _names(receiver, lonely[0]) == expected, what=lambda: str(_names(receiver, lonely[0])))


def _names(receiver: WebhookReceiver, channel: str) -> list[str]:
    # A leader that is killed between an answer and noting it has the same request sent again.
    return receiver.handled("/hook", channel)


def _alternates(names: list[str]) -> bool:
    occupancy = [name for name in names if name.startswith("channel_")]
    members = [name for name in names if name.startswith("member_")]
    return occupancy == ["channel_occupied", "channel_vacated"] * (len(occupancy) // 2) and members == [
        "member_added",
        "member_removed",
    ] * (len(members) // 2)
