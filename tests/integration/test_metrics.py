"""The metrics page of running engines with traffic: what is declared is fed, and true."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest

from engine.metrics.metrics import Metrics
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.placing import connected_to
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

#: What an engine that is well, with this configuration, has no sample of, and why.
NOT_SHOWN = {
    "rate_limit_checks_total": "no limit is configured, and what it would be called is not known",
    "rate_limit_triggered_total": "as above",
    "connection_errors_total": "nobody has made a mistake; what kinds there will be is not known",
    "http_errors_total": "as above",
    "history_gaps_total": "nothing is kept, so that nothing of it can be missing",
    "tls_certificate_expiry_timestamp_seconds": "there is no TLS",
}


def samples(engine: Engine) -> dict[str, dict[str, float]]:
    """Name without prefix -> labels as they stand there -> number. The official parser would change the names."""
    found: dict[str, dict[str, float]] = {}
    for name, labels, number in re.findall(r"^sockudo_(\w+)\{(.*)\} (\S+)$", engine.metrics(), re.MULTILINE):
        found.setdefault(name, {})[labels] = float(number)
    return found


def total(engine: Engine, name: str) -> float:
    return sum(samples(engine).get(name, {}).values())


async def talk(engine: Engine) -> None:
    """On every worker a client in a channel of its own and in one of all; events by the API and by clients."""
    async with AsyncExitStack() as stack:
        for pid in engine.workers():
            client = await connected_to(stack, engine, pid)
            await client.subscribe("private-room")
            await client.subscribe(f"cache-{pid}")
            await client.send("client-n", {}, "private-room")
            await client.settle()
        await asyncio.to_thread(engine.trigger, ["private-room", "nobody-is-here"], "hello")
        await asyncio.to_thread(wait_until, lambda: total(engine, "active_channels") == 2 * len(engine.workers()), 10)


@pytest.mark.parametrize("shared_memory", [False, True], ids=["redis", "shared-memory"])
def test_every_family_has_a_sample_and_what_goes_between_workers_is_counted(
    receiver: WebhookReceiver, shared_memory: bool
) -> None:
    hooks = [{"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "client_event"]}]
    config: dict[str, Any] = {
        "adapter": {"shared_memory": shared_memory},
        "app_manager": {"array": {"apps": [APP | {"webhooks": hooks}]}},
    }
    with running(config, 2) as engine:
        rate = "webhooks_sent_total", "webhooks_failed_total"
        # The documentation divides by their sum: both are there before anything has failed, or even been sent.
        wait_until(lambda: all(name in samples(engine) for name in rate), 10, engine.metrics)
        assert [total(engine, name) for name in rate] == [0, 0]
        asyncio.run(talk(engine))
        # A client event before the second worker has subscribers and one after, and an event for two channels, of which
        # only one has subscribers: one, two, and two.
        wait_until(lambda: total(engine, "horizontal_adapter_received_requests") == 5, 10, engine.metrics)
        wait_until(lambda: total(engine, "webhooks_sent_total") >= 3, 10, engine.metrics)
        assert total(engine, "horizontal_adapter_sent_requests") == 4
        assert total(engine, "horizontal_adapter_resolved_promises") == 4
        assert total(engine, "horizontal_adapter_resolve_time_count") == 4
        assert total(engine, "horizontal_adapter_uncomplete_promises") == 0
        # Of the five that were received two could go to nobody but their sender.
        wait_until(lambda: total(engine, "broadcast_latency_ms_count") == 3, 10, engine.metrics)
        # They have gone: what they were in is no channel any more.
        wait_until(lambda: total(engine, "active_channels") == 0, 10, engine.metrics)
        assert total(engine, "http_request_duration_seconds_count") == total(engine, "http_calls_received_total") > 0
        assert total(engine, "channel_subscriptions_total") == total(engine, "channel_unsubscriptions_total") == 4
        shown = samples(engine)
        missing = {
            family.name
            for family in Metrics().families
            if (f"{family.name}_count" if family.kind == "histogram" else family.name) not in shown
        }
        assert missing == NOT_SHOWN.keys()


def test_a_signed_in_user_is_no_subscription_that_ends(receiver: WebhookReceiver) -> None:
    """A user's own channel is entered with the sign-in; neither its beginning nor its end is a subscription."""

    async def scene(engine: Engine) -> None:
        async with connected(engine.ws_url) as client:
            await client.signin("u-1")
            await client.subscribe("room")

    with running() as engine:
        asyncio.run(scene(engine))
        wait_until(lambda: total(engine, "channel_unsubscriptions_total") == 1, 10, engine.metrics)
        wait_until(lambda: total(engine, "new_disconnections_total") == 1, 10, engine.metrics)
        assert total(engine, "channel_unsubscriptions_total") == total(engine, "channel_subscriptions_total") == 1
