"""What is kept, on real engines: over every road of a publish, read by the official libraries, with Redis away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pusher
import pytest
from pusher.http import GET, Request

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.node import NodeJs
from tests.support.valkey import ValkeyServer

KEEPS = APP | {"enable_client_messages": True, "history": [{"channels": "*kept-*"}]}


def config(valkey: ValkeyServer | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"app_manager": {"array": {"apps": [KEEPS]}}}
    return found if valkey is None else found | {"database": {"redis": {"url": valkey.url}}}


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def keeper(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running(config(), request.param) as engine:
        yield engine


def back_end(engine: Engine) -> pusher.Pusher:
    return pusher.Pusher(APP["id"], APP["key"], APP["secret"], host="127.0.0.1", port=engine.port, ssl=False)


def read(engine: Engine, channel: str, **params: str) -> dict[str, Any]:
    """By the request that the Python library's own calls are made of."""
    client = back_end(engine)._pusher_client
    path = f"/apps/{APP['id']}/channels/{channel}/history"
    found: dict[str, Any] = client.http.send_request(Request(client, GET, path, params))
    return found


def kept(engine: Engine, channel: str) -> list[str]:
    return [item["message"]["data"] for item in read(engine, channel, direction="oldest_first")["items"]]


async def test_whatever_is_published_is_kept_in_the_order_in_which_it_is_heard(
    keeper: Engine, unique: Callable[[str], str]
) -> None:
    """One at a time, in batches, to several channels, with channels in between that are not kept; from many at once."""
    one, other, plain = unique("kept-one"), unique("kept-two"), unique("plain")
    sdk = back_end(keeper)

    def publish(sender: int) -> None:
        for n in range(5):
            sdk.trigger([one, plain], "e", f"{sender}-{n}")
            batch = [{"channel": each, "name": "e", "data": f"{sender}-{n}-{each}"} for each in (other, plain, one)]
            sdk.trigger_batch(batch)

    async with connected(keeper.ws_url) as a, connected(keeper.ws_url) as b:
        for client in (a, b):
            await client.subscribe(one)
            await client.subscribe(other)
        await asyncio.gather(*(asyncio.to_thread(publish, sender) for sender in range(4)))
        for channel, count in ((one, 40), (other, 20)):
            heard = [[(await client.next("e", channel))["data"] for _ in range(count)] for client in (a, b)]
            assert heard[0] == heard[1] == await asyncio.to_thread(kept, keeper, channel)
    with pytest.raises(pusher.errors.PusherBadStatus, match="feature_disabled"):
        await asyncio.to_thread(kept, keeper, plain)


async def test_an_event_that_is_not_kept_takes_its_usual_road(keeper: Engine, unique: Callable[[str], str]) -> None:
    channel = unique("private-kept-talk")
    async with connected(keeper.ws_url) as a, connected(keeper.ws_url) as b:
        await a.subscribe(channel)
        await b.subscribe(channel)
        await a.send("client-said", {"n": 1}, channel)
        assert (await b.next("client-said", channel))["data"] == {"n": 1}
        assert await a.settle() == []
    assert await asyncio.to_thread(kept, keeper, channel) == []


def test_the_node_library_reads_it(keeper: Engine, node: NodeJs, unique: Callable[[str], str]) -> None:
    channel = unique("kept-js")
    back_end(keeper).trigger(channel, "e", {"text": "Zoë"})
    app = {name: APP[name] for name in ("id", "key", "secret")}
    asked = {"path": f"/channels/{channel}/history", "params": {"limit": 5}}
    answer = node("server.call", app=app, port=keeper.port, method="get", args=[asked])
    assert answer["status"] == 200
    (item,) = answer["body"]["items"]
    assert json.loads(item["message"]["data"]) == {"text": "Zoë"}
    body = {"confirm_channel": channel, "confirm_operation": "purge", "mode": "all", "reason": "a test"}
    asked = {"path": f"/channels/{channel}/history/purge", "body": body}
    answer = node("server.call", app=app, port=keeper.port, method="post", args=[asked])
    assert (answer["status"], answer["body"]["purged_messages"]) == (200, 1)


def test_what_cannot_be_kept_is_refused_and_reaches_nobody() -> None:
    """H-74: with Redis away local delivery goes on for all other channels."""
    with ValkeyServer() as valkey, running(config(valkey), 1, noise=None) as engine:

        async def scene() -> None:
            sdk = back_end(engine)
            async with connected(engine.ws_url) as client:
                await client.subscribe("kept-a")
                await client.subscribe("plain")
                await asyncio.to_thread(sdk.trigger, "kept-a", "e", "before")
                assert (await client.next("e", "kept-a"))["data"] == "before"
                valkey.kill()
                with pytest.raises(pusher.errors.PusherBadStatus, match="service_unavailable"):
                    await asyncio.to_thread(sdk.trigger, "kept-a", "e", "lost")
                await asyncio.to_thread(sdk.trigger, "plain", "e", "local")
                assert (await client.next("e", "plain"))["data"] == "local"
                assert [frame for frame in await client.settle() if frame.get("channel") == "kept-a"] == []

        asyncio.run(scene())
