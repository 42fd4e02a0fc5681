"""A running engine with its webhooks in AWS: the queue in SQS, a function in Lambda; both played by moto."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any
from uuid import uuid4

import pytest

from tests.support.aws import CREDENTIALS, REGION, MotoAws
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.signing import sign
from tests.support.waiting import wait_until

OCCUPANCY = ["channel_occupied", "channel_vacated"]


def config(aws: MotoAws, receiver: WebhookReceiver, function: str, fifo: bool) -> dict[str, Any]:
    webhooks = [
        {"url": f"{receiver.url}/hook", "event_types": OCCUPANCY},
        {
            "lambda": {"function_name": function, "region": REGION, "endpoint_url": aws.url},
            "event_types": [*OCCUPANCY, "client_event"],
        },
    ]
    sqs = {
        "endpoint_url": aws.url,
        "region": REGION,
        "queue_url_prefix": f"{aws.url}/123456789012/q{uuid4().hex}-",
        "visibility_timeout": 3,
        "wait_time_seconds": 1,
        "fifo": fifo,
    }
    return {
        "app_manager": {"array": {"apps": [APP | {"webhooks": webhooks}]}},
        "queue": {"driver": "sqs", "sqs": sqs},
        "webhooks": {"settle_ms": 0, "batching": {"enabled": True, "duration": 10}},
    }


async def visit(engine: Engine, channel: str) -> None:
    """Occupy a channel, say something, and leave it."""
    async with connected(engine.ws_url) as client:
        await client.subscribe(channel)
        await client.send("client-hello", {"n": 1}, channel)
        await client.settle()
        await client.unsubscribe(channel)
        await client.settle()


@pytest.mark.parametrize(("workers", "fifo"), [(1, True), (2, False)], ids=["1-worker-fifo", "2-workers-standard"])
def test_webhooks_by_sqs_and_lambda(aws: MotoAws, receiver: WebhookReceiver, workers: int, fifo: bool) -> None:
    function = f"handler-{uuid4().hex[:8]}"
    aws.add_function(function)
    receiver.answer(500, path="/hook")
    channels = [f"private-room-{number}" for number in range(3)]

    with running(config(aws, receiver, function, fifo), workers, env=CREDENTIALS) as engine:
        for channel in channels:
            asyncio.run(visit(engine, channel))
        for channel in channels:
            wait_until(lambda channel=channel: sorted(receiver.names("/hook", channel)) == OCCUPANCY)
            assert not fifo or receiver.names("/hook", channel) == OCCUPANCY
            wait_until(lambda channel=channel: len(told(aws, function, channel)) == 3)
            expected = sorted([*OCCUPANCY, "client_event"])
            assert sorted(event["name"] for event in told(aws, function, channel)) == expected
    for event in aws.sent_to(function):
        assert event["headers"]["X-Pusher-Signature"] == "sha256=" + sign(APP["secret"], event["body"])
    assert all(request.signed_with(APP["secret"]) for request in receiver.requests)


def test_jobs_of_a_killed_leader_come_again(aws: MotoAws, receiver: WebhookReceiver) -> None:
    function = f"handler-{uuid4().hex[:8]}"
    aws.add_function(function)
    receiver.answer(path="/hook", always="hang")
    with running(config(aws, receiver, function, False), 2, env=CREDENTIALS) as engine:
        asyncio.run(visit(engine, "private-room"))
        wait_until(lambda: len(receiver.to("/hook")) == 1)
        receiver.answer(path="/hook", always=200)
        for pid in engine.workers():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: set(receiver.names("/hook", "private-room")) == set(OCCUPANCY))
        wait_until(lambda: len(told(aws, function, "private-room")) >= 3)


def test_a_function_that_the_first_webhook_names_while_the_engine_serves(
    aws: MotoAws, receiver: WebhookReceiver
) -> None:
    """What Lambda needs is loaded then, and connections are served meanwhile."""
    function = f"handler-{uuid4().hex[:8]}"
    aws.add_function(function)
    hooked = config(aws, receiver, function, False)["app_manager"]["array"]["apps"]
    with running({"webhooks": {"settle_ms": 0}}, env=CREDENTIALS) as engine:
        engine.config_path.write_text(json.dumps({**engine.config, "app_manager": {"array": {"apps": hooked}}}))
        engine.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "every worker follows it" in engine.log())
        asyncio.run(visit(engine, "private-room"))
        wait_until(lambda: len(told(aws, function, "private-room")) == 3)


def told(aws: MotoAws, function: str, channel: str) -> list[dict[str, Any]]:
    return [e for event in list(aws.sent_to(function)) for e in event["events"] if e["channel"] == channel]
