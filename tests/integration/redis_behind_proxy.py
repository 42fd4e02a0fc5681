"""Redis behind something that cuts, resets, half-closes, delays, answers nonsense or hangs up within a reply.

Every connection to it passes there: events, occupancy, leadership, the webhook queue, cache, limits and history. Played
once for each kind of trouble by the test beside this, and for an hour by
`python -m tests.integration.redis_behind_proxy --minutes 60`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.bad_proxy import BAD, BadProxy, Mode
from tests.support.client import connected
from tests.support.engine import APP, Engine, all_say, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port, until, wait_until

#: Longer than anybody waits for Redis.
DELAY_S = 4.0
#: What it may take to serve as before once Redis can be reached again.
RECOVERY_S = 30.0


@contextmanager
def behind(receiver: WebhookReceiver, workers: int = 1) -> Iterator[tuple[Engine, BadProxy]]:
    """An engine whose Redis is behind the proxy; at the end its log must hold nothing that nobody expected."""
    port = free_port()
    app = APP | {
        "history": [{"channels": "*", "count": 100}],
        "webhooks": [{"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "client_event"]}],
    }
    with ValkeyServer(("--port", str(port), "--bind", "127.0.0.1")), BadProxy(port, DELAY_S) as proxy:
        config = {
            "database": {"redis": {"url": f"redis://127.0.0.1:{proxy.port}"}},
            "adapter": {"driver": "redis"},
            "rate_limiter": {"driver": "redis"},
            "app_manager": {"array": {"apps": [app]}},
        }
        # What goes wrong with Redis is logged; what ends a worker or nobody expected is not.
        with running(config, workers, noise=None) as engine:
            yield engine, proxy
            for word in ("Traceback", "CRITICAL", "background task"):
                assert word not in engine.log()


async def survive(engine: Engine, proxy: BadProxy, receiver: WebhookReceiver, mode: Mode, room: str) -> float:
    """Have the engine meet the trouble and come out of it; the seconds from its end until `/ready` says so."""
    workers = engine.workers()
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
        ended_at = time.monotonic()

        async with asyncio.timeout(RECOVERY_S):
            # One that is not would serve its own clients alone.
            await until(lambda: asyncio.to_thread(all_say, engine, 200), what="ready again")
            took_s = time.monotonic() - ended_at
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
    wait_until(lambda: "client_event" in receiver.names("/hook", room), what="the webhook queue is served")
    found = engine.request("GET", f"/channels/{room}/history").json
    assert {item["event_name"] for item in found["items"]} == {"said"}
    assert engine.workers() == workers, "the same workers"
    return took_s


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.redis_behind_proxy", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long")
    end = time.monotonic() + 60 * parser.parse_args().minutes
    took_s: dict[Mode, list[float]] = {mode: [] for mode in BAD}
    with WebhookReceiver() as receiver, behind(receiver, workers=2) as (engine, proxy):
        for number, mode in enumerate(itertools.cycle(BAD)):
            if time.monotonic() > end:
                break
            room = f"private-cache-{mode}-{number}"
            took_s[mode].append(asyncio.run(survive(engine, proxy, receiver, mode, room)))
        broken = proxy.broken
    for mode, all_s in took_s.items():
        if all_s:
            median_s = sorted(all_s)[len(all_s) // 2]
            print(f"{mode}: {len(all_s)} times, ready again after {median_s:.2f} s, at most {max(all_s):.2f} s")
    print(f"{broken} times harm was done to a connection; the same workers, and no traceback")
    return 0


if __name__ == "__main__":
    sys.exit(main())
