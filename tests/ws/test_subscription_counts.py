"""How often the subscribers of one worker are told how many they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from engine.interfaces import TotalChange
from engine.ws.subscription_counts import SubscriptionCounts
from tests._fast.pair import Bench, Peer, bench
from tests.support.waiting import until

EVERY_S = 0.2


class World:
    """One subscriber of a channel."""

    def __init__(self, made: Bench, peer: Peer) -> None:
        self.bench = made
        self.peer = peer
        self.counts = SubscriptionCounts(made.hub, EVERY_S)

    def total(self, *totals: int) -> None:
        for n in totals:
            self.counts.changed(TotalChange("app", "room", 1, n))

    async def told(self, count: int) -> list[int]:
        await until(lambda: len(self.peer.texts) >= count)
        return [json.loads(json.loads(text)["data"])["subscription_count"] for text in self.peer.texts]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with bench() as made:
        connection, peer = await made.connect()
        made.subscribe(connection, "room")
        yield World(made, peer)


async def test_small_numbers_are_told_at_once_and_each_once(world: World) -> None:
    world.total(1, 2, 2, 100, 99)
    assert await world.told(4) == [1, 2, 100, 99]
    assert json.loads(world.peer.texts[0]) == {
        "event": "pusher_internal:subscription_count",
        "channel": "room",
        "data": '{"subscription_count":1}',
    }


async def test_large_numbers_are_told_seldom_and_the_last_one_always(world: World) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    world.total(101, 150, 199, 170)
    assert await world.told(2) == [101, 170]
    assert loop.time() - began >= EVERY_S * 0.9
    world.total(180, 170)
    world.total(3)
    assert await world.told(3) == [101, 170, 3], "a small number waits for nothing"
    world.total(102)
    assert await world.told(4) == [101, 170, 3, 102]


async def test_a_number_that_came_back_is_not_told_again(world: World) -> None:
    world.total(101, 102, 101)
    await asyncio.sleep(2 * EVERY_S)
    world.total(5)
    assert await world.told(2) == [101, 5]


async def test_a_channel_left_by_all_is_forgotten(world: World) -> None:
    world.total(101, 102)
    channel = world.bench.hub.channel("app", "room")
    assert channel is not None
    world.counts.forget(channel)
    await asyncio.sleep(2 * EVERY_S)
    assert await world.told(1) == [101]
    world.counts.changed(TotalChange("app", "elsewhere", 1, 7))
    world.total(102)
    assert await world.told(2) == [101, 102]
