"""What the queue in memory does when it has too much; all else is the contract's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.metrics.metrics import Metrics
from engine.webhooks.queues.memory import MemoryQueue
from tests.webhooks.making import plain_job


async def test_dead_letters_of_one_endpoint_push_out_none_of_another(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    queue = MemoryQueue(max_dead_letters=10, metrics=metrics)
    await queue.attach()
    await queue.put([replace(plain_job(f"quiet-{n}"), endpoint_id="quiet") for n in range(3)])
    await queue.put([replace(plain_job(f"loud-{n}"), endpoint_id="loud") for n in range(20)])
    for job in (await queue.reserve(100)).jobs:
        await queue.bury(job)
    dead = [job.id for job in await queue.dead_letters(100)]
    assert dead == [*(f"loud-{19 - n}" for n in range(7)), "quiet-2", "quiet-1", "quiet-0"]
    assert metrics.value("webhook_dead_letters_dropped_total") == 13
    assert "the oldest of app-1/loud go" in caplog.text
