"""Webhooks that fail, of a queue that is in the memory of two workers, over their sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.console.known_apps import KnownApps
from engine.console.webhooks import MAX_CHANNELS, Webhooks
from engine.console.workers import AskedQueue, Workers
from engine.control import CONSOLE_SOCKETS
from engine.errors import ApiError, StoreUnavailable
from engine.interfaces import Job
from engine.tap.tap import Tap
from engine.webhooks.queues.memory import MemoryQueue
from engine.worker.console_calls import queue_calls
from engine.worker.console_link import ConsoleLink
from tests.config.support import loaded

BODY = '{"time_ms":1,"events":[{"name":"member_added"},{"name":"member_added"},{"name":"cache_miss","data":"hidden"}]}'


@pytest.fixture
async def queues(tmp_path: Path) -> AsyncIterator[list[MemoryQueue]]:
    made = [MemoryQueue(), MemoryQueue()]
    async with AsyncExitStack() as stack:
        for place, queue in enumerate(made):
            link = ConsoleLink(tmp_path / CONSOLE_SOCKETS.format(place), queue_calls(queue), Tap())
            await link.start()
            stack.push_async_callback(link.stop)
            await queue.attach()
            await queue.put([job(f"dead-{place}"), job(f"late-{place}"), job(f"waits-{place}")])
            dead, late = (await queue.reserve(2)).jobs
            dead.attempt, dead.errors = 1, ["then status 500"]
            await queue.bury(dead)
            await queue.retry(late, 1000)
        yield made


@pytest.fixture
def webhooks(tmp_path: Path) -> Webhooks:
    return Webhooks(KnownApps(loaded().config), AskedQueue(Workers(tmp_path)))


def job(id: str, body: str = BODY) -> Job:
    return Job(id, "1", "e1", body, tuple(f"c{n}" for n in range(MAX_CHANNELS + 2)), 1)


async def test_all_that_fail_are_shown_without_what_they_hold(queues: list[MemoryQueue], webhooks: Webhooks) -> None:
    found = await webhooks.read({})
    assert found["depth"] == {"waiting": 2, "in_flight": 0, "delayed": 2, "dead": 2}
    assert {letter["id"] for letter in found["dead"]} == {"dead-0", "dead-1"}
    assert {letter["id"] for letter in found["delayed"]} == {"late-0", "late-1"}
    letter = found["dead"][0]
    assert (letter["events"], letter["errors"]) == ({"member_added": 2, "cache_miss": 1}, ["then status 500"])
    assert (len(letter["channels"]), letter["more_channels"]) == (MAX_CHANNELS, 2)
    assert letter["target"] == "endpoint e1, not configured any more"
    assert "hidden" not in str(found)


async def test_one_or_all_are_sent_again_or_forgotten(queues: list[MemoryQueue], webhooks: Webhooks) -> None:
    assert await webhooks.retry({"id": "dead-1"}) == {"number": 1}
    assert (await queues[1].depth())["dead"] == 0
    assert await webhooks.retry({"id": "late-1"}) == {"number": 1}
    assert [job.id for job in (await queues[1].reserve(1)).jobs] == ["late-1"]
    assert await webhooks.retry({"id": "nobody"}) == {"number": 0}
    assert await webhooks.forget({"id": "dead-1"}) == {"number": 0}
    assert await webhooks.forget({"id": "dead-0"}) == {"number": 1}
    for queue in queues:
        for late in (await queue.reserve(10)).jobs:
            await queue.bury(late)
    assert await webhooks.retry({"all": True}) == {"number": 3}
    for queue in queues:
        for again in (await queue.reserve(10)).jobs:
            await queue.bury(again)
    assert await webhooks.forget({"all": True}) == {"number": 3}
    assert (await webhooks.read({}))["depth"]["dead"] == 0


@pytest.mark.parametrize("asked", [{}, {"id": ""}, {"id": None}, {"id": 7}, {"all": "true"}, {"all": False}])
async def test_nothing_means_all_by_mistake(
    queues: list[MemoryQueue], webhooks: Webhooks, asked: dict[str, object]
) -> None:
    for act in (webhooks.retry, webhooks.forget):
        with pytest.raises(ApiError, match="says which"):
            await act(asked)
    assert (await webhooks.read({}))["depth"]["dead"] == 2


async def test_what_is_no_webhook_is_shown_as_that(queues: list[MemoryQueue], webhooks: Webhooks) -> None:
    await queues[0].put([job("odd", "[]")])
    for taken in (await queues[0].reserve(10)).jobs:
        await queues[0].bury(taken)
    assert {"an unreadable body": 1} in [letter["events"] for letter in (await webhooks.read({}))["dead"]]


async def test_without_a_worker_it_is_said(webhooks: Webhooks) -> None:
    with pytest.raises(StoreUnavailable, match="no worker answers"):
        await webhooks.read({})
