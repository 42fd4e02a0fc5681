"""Subscribers and webhooks are told how many subscribe, where the app wants it (N-36, N-37, W-15)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.integration.test_presence import crowd
from tests.integration.test_pusher_js import JS_APP, browser  # noqa: F401 (a fixture)
from tests.support.client import PusherClient, connected
from tests.support.engine import Engine
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

EVENT = "pusher_internal:subscription_count"
COUNTING = JS_APP | {"key": "counting"}


async def told(client: PusherClient, channel: str) -> int:
    return int(json.loads((await client.next(EVENT, channel))["data"])["subscription_count"])


@pytest.mark.parametrize("stem", ["room", "private-room", "cache-room", "private-encrypted-room"])
def test_every_number_is_told_to_all_subscribers_and_once_to_the_webhook(
    engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str], stem: str
) -> None:
    channel = unique(stem)

    async def scenario() -> int:
        async with AsyncExitStack() as stack:
            clients = await crowd(stack, engine, 4, "counting")
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
    wait_until(lambda: _counts(hooks, channel)[-1:] == [0], what=lambda: _counts(hooks, channel))
    counts = _counts(hooks, channel)
    assert counts[: size + 2] == [*range(1, size + 1), size - 1, size - 2]
    assert counts[size + 2 :] == sorted(set(counts[size + 2 :]), reverse=True)


def test_presence_channels_and_other_apps_are_not_counted(
    engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    room, plain = unique("presence-room"), unique("room")

    async def scenario() -> None:
        async with connected(engine.ws_url, "counting") as member, connected(engine.ws_url, "uncounted") as other:
            await member.subscribe(room, user_id="ada")
            await other.subscribe(plain)
            assert await member.settle() == []
            assert await other.settle() == []

    asyncio.run(scenario())
    hooks.wait_for_names(["channel_occupied", "channel_vacated"], "/counting", room)
    hooks.wait_for_names(["channel_occupied", "channel_vacated"], "/uncounted", plain)


async def test_a_large_channel_is_told_seldom(
    engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    channel = unique("crowd")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(engine.ws_url, "counting")) for _ in range(101)]
        for client in clients:
            await client.subscribe(channel)
        while await told(clients[0], channel) != 101:
            pass
        full_at = time.monotonic()
        for _ in range(3):
            late = await stack.enter_async_context(connected(engine.ws_url, "counting"))
            await late.subscribe(channel)
        assert await told(clients[0], channel) == 104
        assert time.monotonic() - full_at > 4
        assert await told(late, channel) == 104
        await asyncio.to_thread(wait_until, lambda: _counts(hooks, channel)[-1] == 104)
        assert _counts(hooks, channel)[-2:] == [101, 104]


def test_pusher_js_understands(
    engine: Engine,
    browser: Callable[..., Any],  # noqa: F811
    unique: Callable[[str], str],
) -> None:
    channel, page = unique("news"), browser(app=COUNTING)
    page.subscribe(channel)
    assert page.take(kind="channel", event="pusher:subscription_count")["data"] == {"subscription_count": 1}
    other = browser(app=COUNTING)
    other.subscribe(channel)
    assert page.take(kind="channel", event="pusher:subscription_count")["data"] == {"subscription_count": 2}
    other.close()
    assert page.take(kind="channel", event="pusher:subscription_count")["data"] == {"subscription_count": 1}


def _counts(hooks: WebhookReceiver, channel: str) -> list[int]:
    events = hooks.events("/counting", channel)
    return [event["subscription_count"] for event in events if event["name"] == "subscription_count"]
