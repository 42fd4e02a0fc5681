"""What the SQS queue promises beyond the contract: order in FIFO queues, isolation, and consumers that die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import IncarnationGone, StoreUnavailable
from engine.webhooks.job import encode
from engine.webhooks.queues.sqs import in_flight
from engine.webhooks.queues.sqs import queue as queue_module
from tests.support.waiting import until
from tests.webhooks.delivering import DeliveringApp, Sender, endpoint, fail_first, numbered
from tests.webhooks.making import plain_job
from tests.webhooks.sqs_queues import SqsQueues, ids, taken


async def test_a_fifo_queue_keeps_each_endpoints_order_over_a_change_of_consumer(
    open_queues: Callable[..., SqsQueues],
) -> None:
    queues = open_queues(fifo=True)
    first = await queues.consumer()
    await first.put([plain_job(name, endpoint_id=line) for name, line in zip("aAbBcC", ["e1", "e2"] * 3, strict=True)])
    a = (await taken(first, 6))[0]
    await first.retry(a, 1000)
    second = await queues.consumer()
    assert await ids(second) == [], "what is held is nobody else's"
    await first.detach()
    jobs = await taken(second, 6)
    for line in ("abc", "ABC"):
        assert [job.id for job in jobs if job.id in line] == list(line)


@pytest.mark.parametrize("fifo", [False, True])
async def test_jobs_of_a_consumer_that_died_come_again(open_queues: Callable[..., SqsQueues], fifo: bool) -> None:
    queues = open_queues(fifo=fifo, visibility_timeout=1)
    first = await queues.consumer()
    await first.put([plain_job("a"), plain_job("b", endpoint_id="e2")])
    (await taken(first, 2))[0].attempt = 3
    # Killed: nobody hides them any more.
    assert first._keeper is not None
    first._keeper.cancel()
    jobs = await taken(await queues.consumer(), 2)
    assert sorted((job.id, job.attempt) for job in jobs) == [("a", 0), ("b", 0)]


async def test_what_is_held_stays_hidden(
    open_queues: Callable[..., SqsQueues], monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = open_queues(visibility_timeout=3)
    queue = await queues.consumer()
    hidden = 0
    hide = queue._sqs.hide

    async def counted(*args: Any) -> set[str]:
        nonlocal hidden
        hidden += 1
        return await hide(*args)

    monkeypatch.setattr(queue._sqs, "hide", counted)
    await queue.put([plain_job("a"), plain_job("b"), plain_job("c", endpoint_id="e2")])
    jobs = await taken(queue, 2)
    await queue.retry(jobs[0], 1000)
    await queue.reserve(1, {"app-1/e2"})
    # Hidden anew every quarter of the time.
    await until(lambda: hidden >= 5)
    assert queue.attached
    assert await ids(await queues.consumer()) == []
    await queue.ack(jobs[1])
    assert (await queue.depth())["in_flight"] == 0


async def test_a_consumer_that_stood_still_is_none_any_more(open_queues: Callable[..., SqsQueues]) -> None:
    queues = open_queues()
    now = 0.0
    queue = await queues.consumer(clock=lambda: now)
    now = 1000.0
    assert queue.attached, "it holds nothing that another could have got"
    await queue.put([plain_job("a"), plain_job("b")])
    job = (await queue.reserve(1)).jobs[0]
    assert queue.attached
    now += 31
    assert not queue.attached
    with pytest.raises(IncarnationGone):
        await queue.ack(job)
    with pytest.raises(StoreUnavailable):
        await queue.reserve(1)
    backlog = await queue.attach()
    assert backlog is not None
    assert (backlog.in_flight, backlog.delayed) == ([], [])
    assert await ids(queue) == ["b"]


async def test_a_message_taken_away_ends_the_consumer(
    open_queues: Callable[..., SqsQueues], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works on a job that SQS has given to another must not go on."""
    queues = open_queues(visibility_timeout=2)
    queue = await queues.consumer()
    call, refused = queue._sqs._call, [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]

    async def lost(operation: str, *args: Any, **parameters: Any) -> dict[str, Any]:
        refuse = operation == "change_message_visibility_batch"
        return {"Failed": refused} if refuse else await call(operation, *args, **parameters)

    await queue.put([plain_job("a")])
    (job,) = await taken(queue, 1)
    monkeypatch.setattr(queue._sqs, "_call", lost)
    await until(lambda: not queue.attached)
    with pytest.raises(IncarnationGone):
        await queue.ack(job)


async def test_an_endpoint_that_waits_holds_up_no_other(open_queues: Callable[..., SqsQueues]) -> None:
    queues = open_queues(fifo=True)
    queue = await queues.consumer()
    await queue.put([plain_job(f"dead-{n}", endpoint_id="dead") for n in range(15)])
    dead = (await queue.reserve(100)).jobs
    assert [job.id for job in dead] == [f"dead-{n}" for n in range(10)], "as many as SQS gives of one group"
    for job in dead:
        await queue.retry(job, 1000)
    await queue.put([plain_job("a"), plain_job("b")])
    assert await ids(queue) == ["a", "b"]


async def test_what_finds_no_room_aside_is_left_to_sqs(
    open_queues: Callable[..., SqsQueues], monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = open_queues(visibility_timeout=1)
    queue = await queues.consumer()
    await queue.put([plain_job(name) for name in "abcd"] + [plain_job("x", endpoint_id="e2")])
    monkeypatch.setattr(in_flight, "MAX_DEFERRED_BYTES", 2 * len(encode(plain_job("a"))))
    reserved = await queue.reserve(10, {"app-1/e1"})
    assert ([job.id for job in reserved.jobs], reserved.deferred) == (["x"], {"app-1/e1"})
    assert [job.id for job in (await queue.resume("app-1/e1", 10)).jobs] == ["a", "b"]
    assert [job.id for job in await taken(queue, 2)] == ["c", "d"]


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_delivery_on_sqs(open_queues: Callable[..., SqsQueues], fifo: bool) -> None:
    queues = open_queues(fifo=fifo)
    queue, sender = await queues.queue(), Sender()
    sender.behave = fail_first(1, 3, 7)
    rig = DeliveringApp(queue, sender, endpoint("e1"), endpoint("e2"))
    delivery = rig.delivery()
    await delivery.start()
    await queue.put([numbered(n, "room", endpoint_id=f"e{1 + n % 2}") for n in range(24)])
    await rig.until_empty()
    await delivery.stop()
    for name in ("e1", "e2"):
        told = sender.numbers("room", name)
        expected = [n for n in range(24) if f"e{1 + n % 2}" == name]
        assert sorted(told) == expected
        assert not fifo or told == expected
    assert sum(attempt > 1 for _, _, attempt in sender.attempts) == 2
    assert not await queue.dead_letters(10)


async def test_a_look_that_waits_for_nothing_does_not_spin(
    open_queues: Callable[..., SqsQueues], monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = open_queues()
    queue = await queues.consumer()
    looks = 0
    receive = queue._sqs.receive

    async def counted(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return await receive(*args)

    monkeypatch.setattr(queue._sqs, "receive", counted)
    monkeypatch.setattr(queue_module, "IDLE_S", 60)
    for _ in range(20):
        await queue.wait(0.01)
        await queue.reserve(10)
    assert looks == 1
