"""The figures about webhooks on the page of a running engine, with two workers: each against what really happened."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from contextlib import AsyncExitStack
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from engine.metrics.metrics import Metrics
from tests.support.client import connected
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.placing import connected_to, leader
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

EVENTS = 20
#: The endpoints of the first application.
PATHS = ("/good", "/flaky", "/dead", "/delayed")


def config(receiver: WebhookReceiver, valkey: ValkeyServer) -> dict[str, Any]:
    wants = {"event_types": ["client_event"]}
    webhooks = [
        {"url": f"{receiver.url}/good", "event_types": ["client_event", "channel_occupied"]},
        {"url": f"{receiver.url}/flaky", "retry": {"initial_backoff_ms": 10}, **wants},
        {"url": f"{receiver.url}/dead", "retry": {"max_attempts": 1, "initial_backoff_ms": 10}, **wants},
        {"url": f"{receiver.url}/delayed", "retry": {"initial_backoff_ms": 60_000}, **wants},
    ]
    other = APP | {"id": "2", "key": "k2", "secret": "s2", "webhooks": [{"url": f"{receiver.url}/other", **wants}]}
    return {
        "app_manager": {"array": {"apps": [APP | {"webhooks": webhooks}, other]}},
        "database": {"redis": {"url": valkey.url, "key_prefix": "t:"}},
        "shutdown_grace_period": 1,
    }


class Page:
    """Samples of /metrics, by name without prefix and by labels."""

    def __init__(self, engine: Engine) -> None:
        self._samples = {
            (sample.name.removeprefix("sockudo_"), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(engine.metrics())
            for sample in family.samples
        }
        self._port = str(engine.port)

    def __call__(self, name: str, **labels: str) -> float:
        """0 for a series that nothing has touched."""
        return self._samples.get((name, frozenset((labels | {"port": self._port}).items())), 0.0)


async def talk(engine: Engine) -> None:
    """Client events through every worker."""
    async with AsyncExitStack() as stack:
        for pid in engine.workers():
            client = await connected_to(stack, engine, pid)
            await client.subscribe("private-room")
            for number in range(EVENTS):
                await client.send("client-n", number, "private-room")
            await client.settle()
        client = await stack.enter_async_context(connected(engine.ws_url, "k2", "s2"))
        await client.subscribe("private-room")
        await client.send("client-n", 0, "private-room")
        await client.settle()


def endpoints(engine: Engine) -> dict[str, str]:
    """Path of a webhook -> its id, as an operator finds it."""
    shown = engine.command("apps", check=True).stdout
    return {path: id for id, path in re.findall(r"^    (\w+)  http://[^/]+(/\w+):", shown, re.MULTILINE)}


def test_every_figure_is_right_with_two_workers(receiver: WebhookReceiver) -> None:
    receiver.answer(500, 500, path="/flaky")
    receiver.answer(path="/dead", always=500)
    receiver.answer(path="/delayed", always=500)
    began = time.monotonic()
    with ValkeyServer() as valkey, valkey.client() as redis, running(config(receiver, valkey), 2) as engine:
        first_leader = leader(engine)
        asyncio.run(talk(engine))
        ids = endpoints(engine)
        made = 2 * EVENTS

        def settled() -> bool:
            page = Page(engine)
            return (
                # Each worker tells its own figures, once a second.
                page("webhook_events_total", event="client_event", app_id="1", endpoint=ids["/good"]) == made
                and page("webhook_dead_total", app_id="1", endpoint=ids["/dead"]) == made
                and page("webhooks_sent_total", app_id="1", endpoint=ids["/good"]) == made + 1
                and page("webhooks_sent_total", app_id="1", endpoint=ids["/flaky"]) == made
                and page("webhooks_sent_total", app_id="2", endpoint=ids["/other"]) == 1
                and page("webhook_queue_depth", state="delayed") == 1
                and page("webhook_queue_depth", state="dead") == made
            )

        wait_until(settled, what=lambda: "\n".join(line for line in engine.metrics().splitlines() if "webhook" in line))
        page = Page(engine)
        for path in PATHS:
            labels = {"app_id": "1", "endpoint": ids[path]}
            requests = receiver.to(path)
            sent = sum(request.answer == 200 for request in requests)
            failed = len(requests) - sent
            dead = made if path == "/dead" else 0
            assert page("webhooks_sent_total", **labels) == sent
            assert page("webhooks_failed_total", **labels) == failed
            assert page("webhook_retries_total", **labels) == failed - dead
            assert page("webhook_dead_total", **labels) == dead
            assert page("webhook_duration_seconds_count", **labels) == sent + failed
            assert page("webhook_latency_seconds_count", **labels) == sent
            assert page("webhook_events_total", event="client_event", **labels) == made
        assert page("webhook_events_total", event="channel_occupied", app_id="1", endpoint=ids["/good"]) == 1
        # Two attempts failed before: it took longer than its last attempt.
        flaky = {"app_id": "1", "endpoint": ids["/flaky"]}
        assert page("webhook_latency_seconds_sum", **flaky) > page("webhook_duration_seconds_sum", **flaky)

        # One waits for its retry, the others of its channel wait behind it.
        assert page("webhook_queue_depth", state="in_flight") + page("webhook_queue_depth", state="waiting") == made - 1
        assert 0 < page("webhook_pending_age_seconds") < time.monotonic() - began
        assert page("leader_changes_total") == 1
        assert page("reconciler_drift_total") == 0

        redis.hset("t:{0}:channels:1", "nobody-is-here", 5)
        wait_until(lambda: Page(engine)("reconciler_drift_total") == 1, what="the leader has mended the figure")

        os.kill(first_leader, signal.SIGKILL)
        wait_until(lambda: Page(engine)("leader_changes_total") == 2)
        wait_until(lambda: Page(engine)("webhook_queue_depth", state="dead") == made)
        page = Page(engine)
        assert page("webhook_queue_depth", state="delayed") == 1, "of the new leader alone"
        assert page("webhooks_sent_total", app_id="1", endpoint=ids["/good"]) >= made


def test_every_metric_about_webhooks_is_explained() -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text()
    names = [f.name for f in Metrics().families if "webhook" in f.name or f.name.startswith(("leader_", "reconciler_"))]
    assert [name for name in names if f"`{name}`" not in text] == []
