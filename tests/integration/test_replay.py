"""Replays on real engines, while publishes go on: none twice, none missing, none out of order (N-45)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running

KEEPS = APP | {
    "history": [
        {"channels": "all-*", "count": 5000, "replay": {"seconds": 300}},
        {"channels": "some-*", "count": 50, "replay": {"count": 20}},
    ]
}
PUBLISHERS, EACH = 4, 60


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def keeper(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running({"app_manager": {"array": {"apps": [KEEPS]}}}, request.param) as engine:
        yield engine


async def publish(engine: Engine, channel: str, ended: list[int]) -> None:
    """From several back ends at once; each event says who sent it and which of its events it is."""

    async def one(sender: int) -> None:
        for n in range(EACH):
            event = {"name": "e", "channel": channel, "data": f"{sender}:{n}"}
            answer = await asyncio.to_thread(engine.request, "POST", "/events", event)
            assert answer.status == 200
        ended.append(sender)

    await asyncio.gather(*map(one, range(PUBLISHERS)))


async def hear(client: PusherClient, channel: str, ended: list[int]) -> list[str]:
    """All that comes on one subscription until publishing is over and everything is here."""
    await client.subscribe(channel)
    heard: list[str] = []
    while True:
        done = len(ended) == PUBLISHERS
        heard += [frame["data"] for frame in await client.settle() if frame["event"] == "e"]
        if done:
            return heard


async def test_who_comes_meanwhile_gets_all_of_it_once_and_in_one_order(
    keeper: Engine, unique: Callable[[str], str]
) -> None:
    channel = unique("all")
    ended: list[int] = []
    lists: list[list[str]] = []

    async def come_and_stay() -> None:
        async with connected(keeper.ws_url) as client:
            lists.append(await hear(client, channel, ended))

    async def arrive() -> None:
        """One after the other, so that some come at every moment."""
        async with asyncio.TaskGroup() as group:
            while len(ended) < PUBLISHERS:
                group.create_task(come_and_stay())
                await come_and_go_once()

    async def come_and_go_once() -> None:
        async with connected(keeper.ws_url) as client:
            await client.subscribe(channel)
            lists.append([frame["data"] for frame in await client.settle() if frame["event"] == "e"])

    async with asyncio.TaskGroup() as group:
        group.create_task(publish(keeper, channel, ended))
        group.create_task(arrive())
    whole = max(lists, key=len)
    assert sorted(whole) == sorted(f"{sender}:{n}" for sender in range(PUBLISHERS) for n in range(EACH))
    assert len(lists) > 5
    for heard in lists:
        assert heard == whole[: len(heard)]


async def test_with_a_bound_they_get_the_end_of_it(keeper: Engine, unique: Callable[[str], str]) -> None:
    channel = unique("some")
    ended: list[int] = []
    order: list[str] = []
    tails: list[list[str]] = []

    async def stay() -> None:
        async with connected(keeper.ws_url) as client:
            order.extend(await hear(client, channel, ended))

    async def arrive() -> None:
        while len(ended) < PUBLISHERS:
            async with connected(keeper.ws_url) as client:
                await client.subscribe(channel)
                tails.append([frame["data"] for frame in await client.settle() if frame["event"] == "e"])

    async with asyncio.TaskGroup() as group:
        group.create_task(stay())
        group.create_task(publish(keeper, channel, ended))
        group.create_task(arrive())
    assert len(order) == PUBLISHERS * EACH
    for tail in tails:
        at = order.index(tail[0]) if tail else 0
        assert tail == order[at : at + len(tail)]
        assert len(tail) >= 20 or at == 0


async def test_who_subscribes_again_hears_it_again_from_there(keeper: Engine, unique: Callable[[str], str]) -> None:
    channel = unique("all")
    async with connected(keeper.ws_url) as client:
        for n in range(3):
            await client.subscribe(channel)
            event: dict[str, Any] = {"name": "e", "channel": channel, "data": str(n)}
            assert (await asyncio.to_thread(keeper.request, "POST", "/events", event)).status == 200
            assert [(await client.next("e", channel))["data"] for _ in range(n + 1)] == list(map(str, range(n + 1)))
            await client.unsubscribe(channel)
            assert await client.settle() == []
