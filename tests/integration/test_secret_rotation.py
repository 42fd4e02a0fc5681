"""While a secret is replaced, both are good for clients and back ends, and webhooks carry the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.integration.shared_apps import NEW_SECRET, OLD_SECRET
from tests.support.client import connected
from tests.support.engine import Engine
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

KEY, WRONG = "rotating", "wrong-secret"
BOTH = (NEW_SECRET, OLD_SECRET)


def test_both_secrets_are_good(engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]) -> None:
    rooms = {unique(f"{kind}-{secret}"): secret for kind in ("private", "presence") for secret in BOTH}

    async def join(secret: str) -> None:
        async with connected(engine.ws_url, KEY, secret) as client:
            for room in (room for room, its in rooms.items() if its == secret):
                await client.subscribe(room, user_id="ada" if room.startswith("presence") else None)
            await client.signin("ada")

    for secret in BOTH:
        asyncio.run(join(secret))
        event = {"name": "e", "channels": ["room"], "data": "{}"}
        as_app = {"app_id": KEY, "key": KEY, "secret": secret}
        assert engine.request("POST", "/events", event, **as_app).status == 200
        assert engine.request("GET", "/channels", **as_app).status == 200
    for room in rooms:
        wait_until(lambda room=room: hooks.names("/rotating", room) == ["channel_occupied"])
    assert all(request.signed_with(NEW_SECRET) for request in hooks.to("/rotating"))


async def test_any_other_is_not(engine: Engine) -> None:
    async with connected(engine.ws_url, KEY, WRONG) as client:
        await client.send("pusher:subscribe", client.subscription("private-room"))
        error = await client.next("pusher:subscription_error")
        assert error["data"]["status"] == 401
    assert engine.request("GET", "/channels", app_id=KEY, key=KEY, secret=WRONG).status == 401
