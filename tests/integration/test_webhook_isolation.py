"""An endpoint that takes requests and never answers: the others hear everything, in order, while it hangs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

EVENTS = 400
CONCURRENCY = 5


def config(receiver: WebhookReceiver) -> dict[str, Any]:
    """As many requests for the black hole as for the others, each waiting for the whole of a long time-out."""
    wants: dict[str, Any] = {"event_types": ["client_event"]}
    webhooks = [
        {"url": f"{receiver.url}/hole", "request_timeout_ms": 60_000, **wants},
        {"url": f"{receiver.url}/broken", "retry": {"initial_backoff_ms": 60_000}, **wants},
        {"url": f"{receiver.url}/good", **wants},
    ]
    other = APP | {
        "id": "2",
        "key": "other",
        "secret": "another",
        "webhooks": [{"url": f"{receiver.url}/other", **wants}],
    }
    return {
        "app_manager": {"array": {"apps": [APP | {"webhooks": webhooks}, other]}},
        "queue": {"redis": {"concurrency": CONCURRENCY}},
        "shutdown_grace_period": 1,
    }


async def talk(engine: Engine) -> None:
    async with connected(engine.ws_url) as one, connected(engine.ws_url, "other", "another") as two:
        for client in (one, two):
            for room in range(4):
                await client.subscribe(f"private-{room}")
        for number in range(EVENTS):
            for client in (one, two):
                await client.send("client-n", number, f"private-{number % 4}")
        for client in (one, two):
            await client.settle()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_black_hole_swallows_only_its_own(receiver: WebhookReceiver, workers: int) -> None:
    receiver.answer(path="/hole", always="hang")
    receiver.answer(path="/broken", always=500)
    with running(config(receiver), workers, noise=None) as engine:
        asyncio.run(talk(engine))
        for path in ("/good", "/other"):
            wait_until(lambda path=path: len(receiver.events(path)) >= EVENTS)
            for room in range(4):
                heard = [json.loads(e["data"]) for e in receiver.events(path, f"private-{room}")]
                assert heard == list(range(room, EVENTS, 4))
        # One request of each channel at a time, never more than the slots; all else waits in the queue.
        assert 1 <= len(receiver.to("/hole")) <= min(4, CONCURRENCY)
        assert len(receiver.to("/broken")) == 4
