"""Subscribers and webhooks are told how many subscribe, where the app wants it (N-36, N-37, W-15)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.integration.test_presence import crowd
from tests.integration.test_pusher_js import browser  # noqa: F401 (a fixture)
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

EVENT = "pusher_internal:subscription_count"


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as started:
        yield started


@pytest.fixture(scope="module", params=[1, 2], ids=["1-worker", "2-workers"])
def engine(request: pytest.FixtureRequest, receiver: WebhookReceiver) -> Iterator[Engine]:
    """One app that counts, and one that does not though its webhook asks for it."""
    counting = APP | {"enable_subscription_count": True, "webhooks": [_webhook(receiver, "/hook")]}
    other = APP | {"id": "2", "key": "other-key", "webhooks": [_webhook(receiver, "/other")]}
    with running({"app_manager": {"array": {"apps": [counting, other]}}}, request.param) as started:
        yield started


async def told(client: PusherClient, channel: str) -> int:
    return int(json.loads((await client.next(EVENT, channel))["data"])["subscription_count"])


@pytest.mark.parametrize("stem", ["room", "private-room", "cache-room", "private-encrypted-room"])
def test_every_number_is_told_to_all_subscribers_and_once_to_the_webhook(
    engine: Engine, receiver: WebhookReceiver, unique: Callable[[str], str], stem: str
) -> None:
    channel = unique(stem)

    async def scenario() -> int:
        async with AsyncExitStack() as stack:
            clients = await crowd(stack, engine, 4)
            for n, client in enumerate(clients):
                await client.send("pusher:subscribe", client.subscription(channel))
                first = await client.take(lambda _: True)
                assert first["event"] == "pusher_internal:subscription_succeeded"
                for earlier in clients[: n + 1]:
                    assert await told(earlier, channel) == n + 1
            await clients[0].unsubscribe(channel)
            for client in clients[1:]:
                assert await told(client, channel) == len(clients) - 1
            clients[1].abort()
            for client in clients[2:]:
                assert await told(client, channel) == len(clients) - 2
            left = [frame for client in clients[2:] for frame in await client.settle() if frame["event"] == EVENT]
            assert left == []
            return len(clients)

    size = asyncio.run(scenario())
    # Those that are left go one by one or together.
    wait_until(lambda: _counts(receiver, channel)[-1:] == [0], what=lambda: _counts(receiver, channel))
    counts = _counts(receiver, channel)
    assert counts[: size + 2] == [*range(1, size + 1), size - 1, size - 2]
    assert counts[size + 2 :] == sorted(set(counts[size + 2 :]), reverse=True)


def test_presence_channels_and_other_apps_are_not_counted(
    engine: Engine, receiver: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    room, plain = unique("presence-room"), unique("room")

    async def scenario() -> None:
        async with connected(engine.ws_url) as member, connected(engine.ws_url, "other-key") as other:
            await member.subscribe(room, user_id="ada")
            await other.subscribe(plain)
            assert await member.settle() == []
            assert await other.settle() == []

    asyncio.run(scenario())
    receiver.wait_for_names(["channel_occupied", "channel_vacated"], "/hook", room)
    receiver.wait_for_names(["channel_occupied", "channel_vacated"], "/other", plain)


async def test_a_large_channel_is_told_seldom(
    engine: Engine, receiver: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    channel = unique("crowd")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(engine.ws_url)) for _ in range(101)]
        for client in clients:
            await client.subscribe(channel)
        while await told(clients[0], channel) != 101:
            pass
        full_at = time.monotonic()
        for _ in range(3):
            late = await stack.enter_async_context(connected(engine.ws_url))
            await late.subscribe(channel)
        assert await told(clients[0], channel) == 104
        assert time.monotonic() - full_at > 4
        assert await told(late, channel) == 104
        await asyncio.to_thread(wait_until, lambda: _counts(receiver, channel)[-1] == 104)
        assert _counts(receiver, channel)[-2:] == [101, 104]


def test_pusher_js_understands(
    engine: Engine,
    browser: Callable[..., Any],  # noqa: F811
    unique: Callable[[str], str],
) -> None:
    channel, page = unique("news"), browser()
    page.subscribe(channel)
    assert page.take(kind="channel", event="pusher:subscription_count")["data"] == {"subscription_count": 1}
    other = browser()
    other.subscribe(channel)
    assert page.take(kind="channel", event="pusher:subscription_count")["data"] == {"subscription_count": 2}
    other.close()
    assert page.take(kind="channel", event="pusher:subscription_count")["data"] == {"subscription_count": 1}


def _webhook(receiver: WebhookReceiver, path: str) -> dict[str, Any]:
    types = ["channel_occupied", "channel_vacated", "subscription_count"]
    return {"url": receiver.url + path, "event_types": types}


def _counts(receiver: WebhookReceiver, channel: str) -> list[int]:
    events = receiver.events("/hook", channel)
    return [event["subscription_count"] for event in events if event["name"] == "subscription_count"]
