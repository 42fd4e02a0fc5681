"""Delivery: order for each channel, isolation of endpoints, retries and dead letters; on every queue driver."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

import pytest

from engine.app import Endpoint
from engine.app_manager import AppManager
from engine.errors import DeliveryError
from engine.interfaces import Job, WebhookQueue
from engine.webhooks.delivery.attempts import Attempts
from engine.webhooks.delivery.consumer import Delivery
from engine.webhooks.queues.memory import MemoryQueue
from engine.webhooks.senders.http import HttpSender
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import until
from tests.webhooks.delivering import SOON, DeliveringApp, Sender, endpoint, fail_first, numbered, open_queue
from tests.webhooks.making import SECRET


@pytest.fixture(params=["memory", "redis"])
async def queue(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[WebhookQueue]:
    async with open_queue(request.param, redis_url) as queue:
        yield queue


async def test_retries_repeat_the_same_request_until_it_is_taken(
    queue: WebhookQueue, receiver: WebhookReceiver
) -> None:
    sender = HttpSender()
    await sender.start()
    rig = DeliveringApp(queue, sender, endpoint(url=receiver.url))
    receiver.answer(500, "drop")
    delivery = rig.delivery()
    await delivery.start()
    job = numbered(1)
    await queue.put([job])
    await rig.until_empty()
    await delivery.stop()
    await sender.stop()
    assert [request.headers["x-webhook-attempt"] for request in receiver.requests] == ["1", "2", "3"]
    assert {request.headers["x-webhook-id"] for request in receiver.requests} == {job.id}
    assert {request.body for request in receiver.requests} == {job.body.encode()}
    assert all(request.signed_with(SECRET) for request in receiver.requests)
    assert rig.metrics.value("webhooks_sent_total", "app-1", "e1") == 1
    assert rig.metrics.value("webhooks_failed_total", "app-1", "e1") == 2
    assert rig.metrics.value("webhook_retries_total", "app-1", "e1") == 2
    assert rig.metrics.value("webhook_dead_total", "app-1", "e1") == 0


async def test_a_retry_holds_back_its_own_channels_and_no_other(queue: WebhookQueue) -> None:
    sender = Sender()
    sender.behave = fail_first(2, 1)
    rig = DeliveringApp(queue, sender)
    delivery = rig.delivery()
    await queue.put([numbered(1, "a"), numbered(2, "a", "b"), numbered(3, "c"), numbered(4, "b")])
    await delivery.start()
    await rig.until_empty()
    await delivery.stop()
    assert sender.numbers("a") == [1, 2]
    assert sender.numbers("b") == [2, 4]
    assert sender.attempts[:2] == [("e1", 1, 1), ("e1", 3, 1)]


async def test_what_is_given_up_is_a_dead_letter_with_its_history_and_lets_the_next_pass(
    queue: WebhookQueue, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender()
    sender.behave = fail_first(99, 1)
    rig = DeliveringApp(queue, sender)
    delivery = rig.delivery()
    await delivery.start()
    dead = numbered(1)
    await queue.put([dead, numbered(2)])
    await rig.until_empty()
    (letter,) = await queue.dead_letters(10)
    assert (letter.id, letter.attempt, len(letter.errors)) == (dead.id, 1 + len(SOON.delays_s), 3)
    assert all(error.endswith("status 500") for error in letter.errors)
    assert sender.numbers("room") == [2]
    assert rig.metrics.value("webhook_dead_total", "app-1", "e1") == 1
    # Put back in line, it starts anew.
    sender.behave = fail_first(1, 1)
    assert await queue.requeue(letter.id) == 1
    await rig.until_empty()
    await delivery.stop()
    assert sender.attempts[-2:] == [("e1", 1, 1), ("e1", 1, 2)]
    assert await queue.dead_letters(10) == []
    assert "given up after 3 attempts: status 500" in caplog.text
    assert sum("fails: " in record.message for record in caplog.records) == 1


async def test_no_retry_begins_after_the_time_that_an_endpoint_gives(queue: WebhookQueue) -> None:
    sender = Sender()
    sender.behave = fail_first(99, 1)
    rig = DeliveringApp(queue, sender, endpoint(retry=replace(SOON, delays_s=(0.01, 0.01, 5.0), max_elapsed_s=1.0)))
    delivery = rig.delivery()
    await delivery.start()
    await queue.put([numbered(1)])
    await rig.until_empty()
    await delivery.stop()
    (letter,) = await queue.dead_letters(10)
    assert (letter.attempt, len(letter.errors)) == (3, 3)


async def test_retry_times_follow_the_policy_with_jitter() -> None:
    delays: list[float] = []

    class Noting(MemoryQueue):
        async def retry(self, job: Job, delay_s: float) -> None:
            delays.append(delay_s)
            await super().retry(job, 0)

    sender = Sender()
    sender.behave = fail_first(99, 1)
    rig = DeliveringApp(Noting(), sender, endpoint(retry=type(SOON)()))
    delivery = rig.delivery()
    await delivery.start()
    for _ in range(20):
        await rig.queue.put([numbered(1)])
    await rig.until_empty()
    await delivery.stop()
    assert len(delays) == 100
    for expected in (1, 2, 4, 8, 16):
        seen = [d for d in delays if 0.9 * expected <= d <= 1.1 * expected]
        assert len(seen) == 20
        assert len(set(seen)) > 1


async def test_a_webhook_that_another_worker_has_heard_of_first_is_waited_for(queue: WebhookQueue) -> None:
    rig = DeliveringApp(queue, Sender())
    apps = AppManager()
    asked: list[set[str]] = []

    async def catch_up(names: Collection[str]) -> None:
        asked.append({*names})
        apps.replace([rig.app])

    attempts = Attempts(queue, apps, {"http": rig.sender}, rig.metrics, catch_up=catch_up)
    delivery = Delivery(queue, attempts, rig.metrics)
    await queue.put([numbered(1), numbered(2)])
    await delivery.start()
    await rig.until_empty()
    await delivery.stop()
    assert asked == [{"app-1/e1"}]
    assert rig.sender.numbers("room") == [1, 2]  # type: ignore[attr-defined]


async def test_what_no_webhook_is_configured_for_is_buried_with_the_reason(queue: WebhookQueue) -> None:
    rig = DeliveringApp(queue, Sender())
    delivery = rig.delivery()
    await delivery.start()
    foreign = numbered(1)
    foreign.app_id = "app-2"
    await queue.put([numbered(1, endpoint_id="gone"), foreign, numbered(2)])
    await rig.until_empty()
    await delivery.stop()
    assert sorted(job.app_id for job in await queue.dead_letters(10)) == ["app-1", "app-2"]
    assert all("no such webhook" in job.errors[-1] for job in await queue.dead_letters(10))
    assert rig.sender.attempts == [("e1", 2, 1)]  # type: ignore[attr-defined]


async def test_a_black_hole_delays_nobody_else_and_memory_stays_bounded(queue: WebhookQueue) -> None:
    sender = Sender()
    open_again = asyncio.Event()

    async def hang(target: Endpoint, _: Job) -> None:
        if target.id == "hole":
            await open_again.wait()

    sender.behave = hang
    rig = DeliveringApp(queue, sender, endpoint("hole"), endpoint("good"))
    delivery = rig.delivery(lane_jobs=100)
    await delivery.start()
    await queue.put([numbered(n, f"room-{n}", endpoint_id="hole") for n in range(500)])
    for n in range(20):
        started = time.monotonic()
        await queue.put([numbered(n, endpoint_id="good")])
        await until(lambda n=n: sender.numbers("room", "good") == list(range(n + 1)))  # type: ignore[misc]
        assert time.monotonic() - started < 1.0
    assert sender.most_under_way == {"hole": 5, "good": 1}
    assert (await queue.depth())["in_flight"] == 100
    assert (await queue.depth())["waiting"] == 400
    open_again.set()
    await rig.until_empty()
    await delivery.stop()
    assert sorted(n for e, _, n in sender.delivered if e == "hole") == list(range(500))
    assert sender.most_under_way["hole"] == 5


async def test_order_holds_whatever_fails_and_however_often_the_leader_changes(queue: WebhookQueue) -> None:
    """Random failures, small lines, many shared channels, and deliveries that are stopped and started."""
    choose = random.Random(7)
    sender = Sender()

    async def stumble(_: Endpoint, job: Job) -> None:
        await asyncio.sleep(choose.choice((0, 0, 0.001)))
        if job.attempt < 2 and choose.random() < 0.4:
            raise DeliveryError("status 503")

    sender.behave = stumble
    rig = DeliveringApp(queue, sender, endpoint("e1"), endpoint("e2"))
    sent: list[Job] = []
    for n in range(300):
        channels = choose.sample("abcdef", choose.randint(1, 3))
        sent.append(numbered(n, *channels, endpoint_id=choose.choice(("e1", "e2"))))
    for at in range(0, len(sent), 30):
        delivery = rig.delivery(lane_jobs=8)
        await delivery.start()
        await queue.put(sent[at : at + 30])
        await asyncio.sleep(0.02)
        await delivery.stop()
    delivery = rig.delivery(lane_jobs=8)
    await delivery.start()
    await rig.until_empty()
    await delivery.stop()
    for target in ("e1", "e2"):
        for channel in "abcdef":
            expected = [
                event["time_ms"]
                for job in sent
                if job.endpoint_id == target
                for event in json.loads(job.body)["events"]
                if event["channel"] == channel
            ]
            assert sender.numbers(channel, target) == expected
    assert await queue.dead_letters(10) == []


async def test_stop_lets_requests_end_and_gives_the_rest_back_in_order(queue: WebhookQueue) -> None:
    sender = Sender()
    release = asyncio.Event()

    async def slow(_: Endpoint, job: Job) -> None:
        if json.loads(job.body)["events"][0]["time_ms"] == 1:
            await release.wait()
        elif not release.is_set():
            await asyncio.sleep(60)

    sender.behave = slow
    rig = DeliveringApp(queue, sender)
    delivery = rig.delivery(grace_s=0.3)
    await delivery.start()
    await queue.put([numbered(1, "a"), numbered(2, "b"), numbered(3, "a"), numbered(4, "b")])
    await until(lambda: len(sender.attempts) == 2)
    stopping = asyncio.create_task(delivery.stop())
    await asyncio.sleep(0)
    release.set()
    await stopping
    assert sender.delivered == [("e1", "a", 1)]
    assert (await queue.depth())["waiting"] == 3
    await delivery.stop()
    await delivery.start()
    await rig.until_empty()
    await delivery.stop()
    assert (sender.numbers("a"), sender.numbers("b")) == ([1, 3], [2, 4])


async def test_a_job_that_stands_in_the_queue_twice_is_sent_once(queue: WebhookQueue) -> None:
    sender = Sender()
    rig = DeliveringApp(queue, sender)
    delivery = rig.delivery()
    twice, other = numbered(1), numbered(2)
    await queue.put([twice, other, twice, other])
    await delivery.start()
    await rig.until_empty()
    await delivery.stop()
    assert sender.numbers("room") == [1, 2]


async def test_a_sender_that_breaks_ends_in_the_dead_letters(queue: WebhookQueue) -> None:
    sender = Sender()

    async def broken(_: Endpoint, job: Job) -> None:
        raise KeyError("secret")

    sender.behave = broken
    rig = DeliveringApp(queue, sender)
    delivery = rig.delivery()
    await delivery.start()
    await queue.put([numbered(1)])
    await rig.until_empty()
    await delivery.stop()
    (letter,) = await queue.dead_letters(1)
    assert letter.errors[-1].endswith("internal error: KeyError")


async def test_figures_for_the_metrics_page(queue: WebhookQueue) -> None:
    sender = Sender()
    never = asyncio.Event()

    async def hang(_: Endpoint, __: Job) -> None:
        await never.wait()

    sender.behave = hang
    rig = DeliveringApp(queue, sender)
    await queue.put([numbered(n) for n in range(3)])
    delivery = rig.delivery(grace_s=0.05, measure_every_s=0.05)
    await delivery.start()
    await until(lambda: rig.metrics.value("webhook_queue_depth", "in_flight") == 3)
    assert rig.metrics.value("webhook_pending_age_seconds") > 1_000_000
    await delivery.stop()
    assert rig.metrics.value("webhook_queue_depth", "in_flight") == 0
