"""While a secret is replaced, both are good for clients and back ends, and webhooks carry the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

NEW, OLD, WRONG = "new-secret", "old-secret", "wrong-secret"


@pytest.fixture
def engine(receiver: WebhookReceiver) -> Iterator[Engine]:
    webhook = {"url": f"{receiver.url}/hook", "event_types": ["channel_occupied"]}
    app = APP | {"secret": NEW, "previous_secret": OLD, "webhooks": [webhook]}
    with running({"app_manager": {"array": {"apps": [app]}}}) as started:
        yield started


def test_both_secrets_are_good(engine: Engine, receiver: WebhookReceiver) -> None:
    async def join(secret: str) -> None:
        async with connected(engine.ws_url, secret=secret) as client:
            await client.subscribe(f"private-{secret}")
            await client.subscribe(f"presence-{secret}", user_id="ada")
            await client.signin("ada")

    for secret in (NEW, OLD):
        asyncio.run(join(secret))
        event = {"name": "e", "channels": ["room"], "data": "{}"}
        assert engine.request("POST", "/events", event, secret=secret).status == 200
        assert engine.request("GET", "/channels", secret=secret).status == 200
    wait_until(lambda: len(receiver.events("/hook")) == 4)
    assert all(request.signed_with(NEW) for request in receiver.to("/hook"))


async def test_any_other_is_not(engine: Engine) -> None:
    async with connected(engine.ws_url, secret=WRONG) as client:
        await client.send("pusher:subscribe", client.subscription("private-room"))
        error = await client.next("pusher:subscription_error")
        assert error["data"]["status"] == 401
    assert engine.request("GET", "/channels", secret=WRONG).status == 401
