"""Redis behind something that cuts, resets, half-closes, delays, answers nonsense or hangs up within a reply.

Every connection to it passes there: events, occupancy, leadership, the webhook queue, cache, limits and history.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.support.bad_proxy import BAD, BadProxy, Mode
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port, until, wait_until

#: Longer than anybody waits for Redis.
DELAY_S = 4.0
#: What it may take to serve as before once Redis can be reached again.
RECOVERY_S = 30.0


@pytest.fixture(scope="module")
def behind(receiver_of_module: WebhookReceiver) -> Iterator[tuple[Engine, BadProxy]]:
    port = free_port()
    server = ValkeyServer(("--port", str(port), "--bind", "127.0.0.1"))
    server.start()
    app = APP | {
        "history": [{"channels": "*", "count": 100}],
        "webhooks": [{"url": f"{receiver_of_module.url}/hook", "event_types": ["channel_occupied", "client_event"]}],
    }
    try:
        with BadProxy(port, DELAY_S) as proxy:
            config = {
                "database": {"redis": {"url": f"redis://127.0.0.1:{proxy.port}"}},
                "adapter": {"driver": "redis"},
                "rate_limiter": {"driver": "redis"},
                "app_manager": {"array": {"apps": [app]}},
            }
            # What goes wrong with Redis is logged; what ends a worker or nobody expected is not.
            with running(config, noise=None) as engine:
                yield engine, proxy
                for word in ("Traceback", "CRITICAL", "background task"):
                    assert word not in engine.log()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def receiver_of_module() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.mark.parametrize("mode", BAD)
async def test_the_worker_survives_and_serves_as_before(
    mode: Mode, behind: tuple[Engine, BadProxy], receiver_of_module: WebhookReceiver
) -> None:
    engine, proxy = behind
    workers = engine.workers()
    room = f"private-cache-{mode}"
    async with connected(engine.ws_url) as client, connected(engine.ws_url) as other:
        before = proxy.broken
        proxy.mode = mode
        await until(lambda: proxy.broken >= before + 3, what="connections of the engine are broken")
        await until(lambda: engine.raw("GET", "/ready").status == 503, what="it says that it cannot serve")
        # Asked for while nothing answers.
        for asked in ("/channels", f"/channels/{room}"):
            assert await asyncio.to_thread(lambda path=asked: engine.request("GET", path).status) in (200, 503)
        await client.send("pusher:subscribe", client.subscription(room))
        proxy.mode = "carry"

        async with asyncio.timeout(RECOVERY_S):
            await until(lambda: engine.raw("GET", "/ready").status == 200, what="ready again")
            await client.next("pusher_internal:subscription_succeeded", room)
            await other.subscribe(room)
            # A connection that was broken unnoticed may cost whoever comes first a 503.
            event = {"name": "said", "channel": room, "data": json.dumps(mode)}
            await until(
                lambda: asyncio.to_thread(lambda: engine.request("POST", "/events", event).status == 200),
                what="a publish is taken",
            )
            assert (await client.next("said", room))["data"] == json.dumps(mode)
            await client.send("client-x", mode, room)
            assert (await other.next("client-x", room))["data"] == mode
    wait_until(lambda: "client_event" in receiver_of_module.names("/hook", room), what="the webhook queue is served")
    found = engine.request("GET", f"/channels/{room}/history").json
    assert {item["event_name"] for item in found["items"]} == {"said"}
    assert engine.workers() == workers, "the same workers"
