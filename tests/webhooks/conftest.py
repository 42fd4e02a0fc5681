"""Fixtures of the webhook tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from engine.webhooks.queues.sqs import dead_letters
from engine.webhooks.queues.sqs import queue as queue_module
from tests.support.aws import FailingLambda, MotoAws, failing_lambda, use_credentials
from tests.webhooks.sqs_bench import Runner, play


@pytest.fixture
def standin() -> Iterator[FailingLambda]:
    """Lambda that fails as it is told."""
    with failing_lambda() as started:
        yield started


@pytest.fixture
def bench(aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Plays a scenario on SQS queues of its own: ``bench(scenario, fifo=True)``."""
    use_credentials(monkeypatch.setenv)
    # One server knows at once that there is nothing more.
    monkeypatch.setattr(dead_letters, "WAIT_S", 0)
    monkeypatch.setattr(queue_module, "IDLE_S", 0.02)
    return lambda scenario, **options: asyncio.run(play(aws.url, scenario, options))
