"""How often the subscribers of one worker are told how many they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from engine.interfaces import TotalChange
from engine.ws.subscription_counts import SubscriptionCounts
from tests._fast.pair import HubServer, Peer, hub_server
from tests.support.waiting import until

EVERY_S = 0.2


class CountedChannel:
    """One subscriber of a channel."""

    def __init__(self, made: HubServer, peer: Peer) -> None:
        self.server = made
        self.peer = peer
        self.counts = SubscriptionCounts(made.hub, EVERY_S)

    def total(self, *totals: int) -> None:
        for n in totals:
            self.counts.changed(TotalChange("app", "room", 1, n))

    async def told(self, count: int) -> list[int]:
        await until(lambda: len(self.peer.texts) >= count)
        return [json.loads(json.loads(text)["data"])["subscription_count"] for text in self.peer.texts]


@pytest.fixture
async def counted() -> AsyncIterator[CountedChannel]:
    async with hub_server() as made:
        connection, peer = await made.connect()
        made.subscribe(connection, "room")
        yield CountedChannel(made, peer)


async def test_small_numbers_are_told_at_once_and_each_once(counted: CountedChannel) -> None:
    counted.total(1, 2, 2, 100, 99)
    assert await counted.told(4) == [1, 2, 100, 99]
    assert json.loads(counted.peer.texts[0]) == {
        "event": "pusher_internal:subscription_count",
        "channel": "room",
        "data": '{"subscription_count":1}',
    }


async def test_large_numbers_are_told_seldom_and_the_last_one_always(counted: CountedChannel) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    counted.total(101, 150, 199, 170)
    assert await counted.told(2) == [101, 170]
    assert loop.time() - began >= EVERY_S * 0.9
    counted.total(180, 170)
    counted.total(3)
    assert await counted.told(3) == [101, 170, 3], "a small number waits for nothing"
    counted.total(102)
    assert await counted.told(4) == [101, 170, 3, 102]


async def test_a_number_that_came_back_is_not_told_again(counted: CountedChannel) -> None:
    counted.total(101, 102, 101)
    await asyncio.sleep(2 * EVERY_S)
    counted.total(5)
    assert await counted.told(2) == [101, 5]


async def test_a_channel_left_by_all_is_forgotten(counted: CountedChannel) -> None:
    counted.total(101, 102)
    channel = counted.server.hub.channel("app", "room")
    assert channel is not None
    counted.counts.forget(channel)
    await asyncio.sleep(2 * EVERY_S)
    assert await counted.told(1) == [101]
    counted.counts.changed(TotalChange("app", "elsewhere", 1, 7))
    counted.total(102)
    assert await counted.told(2) == [101, 102]
