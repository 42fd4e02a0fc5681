"""Fixtures of the webhook tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from engine.webhooks.queues.sqs import dead_letters
from engine.webhooks.queues.sqs import queue as queue_module
from tests.support.aws import FailingLambda, MotoAws, failing_lambda, use_credentials
from tests.webhooks.sqs_queues import SqsQueues


@pytest.fixture
def standin() -> Iterator[FailingLambda]:
    """Lambda that fails as it is told."""
    with failing_lambda() as started:
        yield started


@pytest.fixture
async def open_queues(aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., SqsQueues]]:
    """Gives SQS queues of one name of their own: ``open_queues(fifo=True)``."""
    use_credentials(monkeypatch.setenv)
    # One server knows at once that there is nothing more.
    monkeypatch.setattr(dead_letters, "WAIT_S", 0)
    monkeypatch.setattr(queue_module, "IDLE_S", 0.02)
    opened: list[SqsQueues] = []

    def open_queues(**options: Any) -> SqsQueues:
        opened.append(SqsQueues(aws.url, **options))
        return opened[-1]

    yield open_queues
    for queues in opened:
        await queues.close()
