"""What an app or the server refuses to a connection: each with its code, told on an open socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.waiting import wait_until

LIMIT = {"max_requests": 3, "window_seconds": 60, "trust_hops": 1}


@pytest.fixture(scope="module", params=[1, 2], ids=["1-worker", "2-workers"])
def limited(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Three connections of one address a minute; both apps count their connections too."""
    apps = [APP | {"max_connections": 100}]
    config = {"app_manager": {"array": {"apps": apps}}, "rate_limiter": {"websocket_rate_limit": LIMIT}}
    with running(config, request.param) as started:
        yield started


@pytest.fixture(scope="module")
def held() -> Iterator[Engine]:
    with running({"websocket": {"max_connections_per_address": 2}}) as started:
        yield started


async def refused(client: PusherClient) -> int:
    error = await client.next("pusher:error")
    assert error["data"]["message"]
    code = await client.wait_closed()
    assert code == error["data"]["code"]
    return code


@pytest.mark.parametrize(
    ("key", "headers", "code"),
    [
        ("off", {}, 4003),
        ("origin", {}, 4009),
        ("origin", {"Origin": "http://a.example"}, 4009),
        ("origin", {"Origin": "https://a.example.evil"}, 4009),
        ("tls", {}, 4000),
        ("tls", {"X-Forwarded-Proto": "http"}, 4000),
        ("tls", {"X-Forwarded-Proto": "https, http"}, 4000),
    ],
)
async def test_refused(engine: Engine, key: str, headers: dict[str, str], code: int) -> None:
    async with connected(engine.ws_url, key, headers=headers, wait=False) as client:
        assert await refused(client) == code


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ("origin", {"Origin": "https://A.example"}),
        ("origin", {"Origin": "http://deep.sub.b.example"}),
        ("tls", {"X-Forwarded-Proto": "https"}),
        ("tls", {"X-Forwarded-Proto": "http, HTTPS"}),
        ("tls", {"X-Forwarded-Proto": "wss"}),
    ],
)
async def test_accepted(engine: Engine, key: str, headers: dict[str, str]) -> None:
    async with connected(engine.ws_url, key, headers=headers) as client:
        await client.subscribe("room")


async def test_channels_of_a_connection(engine: Engine, unique: Callable[[str], str]) -> None:
    names = [unique("room") for _ in range(5)]
    async with connected(engine.ws_url, "few-channels") as client:
        await client.signin(unique("user"), watchlist=[unique("friend") for _ in range(9)])
        await client.next("pusher_internal:watchlist_events")
        # All at once: those on their way count too.
        for name in names[:4]:
            await client.send("pusher:subscribe", {"channel": name})
        error = await client.next("pusher:subscription_error")
        assert (error["channel"], error["data"]["type"], error["data"]["status"]) == (
            names[3],
            "LimitReached",
            4100,
        )
        for name in names[:3]:
            await client.next("pusher_internal:subscription_succeeded", name)
        await client.unsubscribe(names[0])
        await client.subscribe(names[4])
        assert await client.settle() == []


async def test_messages_of_a_connection(engine: Engine, unique: Callable[[str], str]) -> None:
    channel = unique("room")
    async with connected(engine.ws_url, "few-messages") as client, connected(engine.ws_url, "few-messages") as other:
        for _ in range(5):
            await client.send("pusher:ping", {})
        for n in range(20):
            await client.send("pusher:subscribe", {"channel": f"{channel}-{n}"})
        error = await client.next("pusher:error")
        assert error["data"]["code"] == 4301
        await other.subscribe(channel)
        assert [frame["event"] for frame in client.frames] == ["pusher:pong"] * 5
        assert client.close_code is None
    async with connected(engine.ws_url, "cut-off") as client:
        for _ in range(8):
            await client.send("pusher:ping", {})
        assert await refused(client) == 4100


async def test_messages_without_sense_end_the_connection_that_sends_them(engine: Engine) -> None:
    async with connected(engine.ws_url) as client, connected(engine.ws_url) as other:
        for _ in range(1100):
            await client.send_text("x")
        assert await client.wait_closed() == 4100
        await other.subscribe("room")


def test_connections_that_an_address_holds(held: Engine) -> None:
    async def scenario() -> None:
        async with connected(held.ws_url) as first, connected(held.ws_url):
            async with connected(held.ws_url, wait=False) as third:
                assert await refused(third) == 4100
            await first.subscribe("room")
        async with connected(held.ws_url) as again:
            await again.subscribe("room")

    asyncio.run(scenario())


def test_connections_of_an_address(limited: Engine) -> None:
    async def scenario(address: str) -> None:
        headers = {"X-Forwarded-For": f"10.9.9.9, {address}"}
        async with AsyncExitStack() as stack:
            for _ in range(3):
                client = await stack.enter_async_context(connected(limited.ws_url, headers=headers))
                await client.subscribe("room")
            for _ in range(2):
                late = await stack.enter_async_context(connected(limited.ws_url, headers=headers, wait=False))
                assert await refused(late) == 4100
            # What is sent before the answer waits for it.
            other = {"X-Forwarded-For": address + "1"}
            early = await stack.enter_async_context(connected(limited.ws_url, headers=other, wait=False))
            await early.send("pusher:ping", "")
            first = await early.take(lambda _: True)
            assert first["event"] == "pusher:connection_established"
            assert json.loads(first["data"])["socket_id"]
            await early.next("pusher:pong")

    asyncio.run(scenario("192.0.2.1"))


async def test_who_leaves_before_the_answer_leaves_nothing(limited: Engine) -> None:
    for n in range(40):
        headers = {"X-Forwarded-For": f"198.51.100.{n}"}
        async with connected(limited.ws_url, headers=headers, wait=False) as client:
            client.abort()
    async with connected(limited.ws_url, headers={"X-Forwarded-For": "203.0.113.1"}) as client:
        await client.subscribe("room")
    usage = limited.request("GET", "/channels", params={"filter_by_prefix": "ro"})
    assert usage.status == 200


def test_newcomers_are_refused_while_memory_is_short() -> None:
    async def scenario(engine: Engine) -> None:
        async with connected(engine.ws_url, wait=False) as client:
            assert await refused(client) == 4100

    # Any machine uses more than that.
    with running({"websocket": {"memory_threshold": 0.0001}}, 1) as engine:
        wait_until(lambda: "new connections are refused" in engine.log())
        asyncio.run(scenario(engine))
