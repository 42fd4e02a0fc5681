"""Endpoints, Lambda and SQS behind something that cuts, resets, delays, answers nonsense or hangs up within a reply."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from engine.app import Endpoint, HttpTarget, LambdaTarget
from engine.config.event_types import EVENT_TYPES
from engine.errors import DeliveryError, StoreUnavailable
from engine.interfaces import WebhookSender
from engine.webhooks.senders.aws_lambda import LambdaSender
from engine.webhooks.senders.http import HttpSender
from tests.support.aws import REGION, MotoAws, use_credentials
from tests.support.bad_proxy import BAD, BadProxy, Mode, endured
from tests.support.receiver import WebhookReceiver
from tests.webhooks.making import make_app, plain_job
from tests.webhooks.sqs_queues import SqsQueues

TIMEOUT_S = 5.0


@pytest.mark.parametrize("mode", BAD)
async def test_an_endpoint(mode: Mode, receiver: WebhookReceiver) -> None:
    with BadProxy(_port(receiver.url)) as proxy:
        await _deliver(HttpSender(), HttpTarget(f"http://127.0.0.1:{proxy.port}/hook"), proxy, mode)


@pytest.mark.parametrize("mode", BAD)
async def test_a_function(mode: Mode, aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch.setenv)
    name = f"handler-{uuid4().hex[:8]}"
    aws.add_function(name)
    with BadProxy(_port(aws.url)) as proxy:
        target = LambdaTarget(name, REGION, endpoint_url=f"http://127.0.0.1:{proxy.port}")
        await _deliver(LambdaSender(), target, proxy, mode)


@pytest.mark.parametrize("mode", BAD)
async def test_a_queue(mode: Mode, aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch.setenv)
    with BadProxy(_port(aws.url)) as proxy:
        queues = SqsQueues(f"http://127.0.0.1:{proxy.port}")
        try:
            queue = await queues.queue()
            await endured(proxy, mode, lambda: queue.put([plain_job("a")]), StoreUnavailable)
        finally:
            await queues.close()


async def _deliver(sender: WebhookSender, target: HttpTarget | LambdaTarget, proxy: BadProxy, mode: Mode) -> None:
    endpoint = Endpoint("e1", target, frozenset(EVENT_TYPES), timeout_s=TIMEOUT_S)
    app = make_app(endpoint)
    await sender.start()
    try:
        await endured(proxy, mode, lambda: sender.send(app, endpoint, plain_job("a")), DeliveryError)
    finally:
        await sender.stop()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
