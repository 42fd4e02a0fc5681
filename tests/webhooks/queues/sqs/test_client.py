"""What goes into SQS and comes back: sizes, characters, dead letters, strangers, and SQS out of reach."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from engine.errors import StoreUnavailable
from engine.webhooks.job import make_job
from tests.support.aws import CREDENTIALS, FailingLambda, MotoAws
from tests.webhooks.making import NOW_MS, make_event, plain_job
from tests.webhooks.sqs_queues import SqsQueues, taken


async def test_a_job_put_twice_is_one_job_in_a_fifo_queue(open_queues: Callable[..., SqsQueues]) -> None:
    queues = open_queues(fifo=True)
    queue = await queues.consumer()
    for _ in range(2):
        await queue.put([plain_job("a"), plain_job("b")])
    assert [job.id for job in await taken(queue, 2)] == ["a", "b"]
    assert await queue.depth() == {"waiting": 0, "in_flight": 2, "delayed": 0, "dead": 0}


async def test_a_dead_letter_is_requeued_at_once_in_a_fifo_queue(open_queues: Callable[..., SqsQueues]) -> None:
    """SQS would drop the same message within five minutes."""
    queues = open_queues(fifo=True)
    queue = await queues.consumer()
    await queue.put([plain_job("a"), plain_job("b")])
    for job in await taken(queue, 2):
        job.attempt, job.errors = 6, ["status 500"]
        await queue.bury(job)
    operator = await queues.queue()
    assert [job.errors for job in await operator.dead_letters(10)] == [["status 500"]] * 2
    assert await operator.requeue(None) == 2
    assert sorted([(job.id, job.attempt) for job in await taken(queue, 2)]) == [("a", 0), ("b", 0)]
    assert await operator.purge_dead_letters() == 0


async def test_any_text_survives(open_queues: Callable[..., SqsQueues]) -> None:
    text = "".join(map(chr, [*range(0x100), 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFF]))
    queues = open_queues()
    queue = await queues.consumer()
    job = plain_job("a", text)
    job.body = json.dumps({"time_ms": 1, "events": [{"data": text}]}, ensure_ascii=False)
    await queue.put([job])
    (got,) = await taken(queue, 1)
    assert (got.body, got.channels) == (job.body, job.channels)
    got.errors = [text]
    await queue.bury(got)
    assert [(dead.errors, dead.body) for dead in await queue.dead_letters(1)] == [([text], job.body)]


async def test_what_is_too_large_for_sqs_is_sent_in_parts(
    open_queues: Callable[..., SqsQueues], caplog: pytest.LogCaptureFixture
) -> None:
    events = [make_event(f"room-{n}-{'x' * 180}") for n in range(2000)]
    job = make_job("app-1", "e1", events, NOW_MS)
    assert len(job.body) > 400_000
    huge = plain_job("huge")
    huge.body = '{"time_ms":1,"events":[{"data":"' + "x" * 300_000 + '"}]}'

    with caplog.at_level(logging.ERROR):
        queues = open_queues(fifo=True)
        queue = await queues.consumer()
        await queue.put([plain_job("before"), job, huge, plain_job("after")])
        before, *parts, after = (await queue.reserve(10)).jobs
        assert [before.id, after.id] == ["before", "after"]
        assert [part.id for part in parts] == [f"{job.id}-{a}-{b}" for a in (1, 2) for b in (1, 2)]
        assert [channel for part in parts for channel in part.channels] == list(job.channels)
        assert [e for part in parts for e in json.loads(part.body)["events"]] == json.loads(job.body)["events"]
        assert {json.loads(part.body)["time_ms"] for part in parts} == {NOW_MS}
        # As a dead letter it has room for its history.
        parts[0].errors = ["x" * 300] * 200
        await queue.bury(parts[0])
        (dead,) = await queue.dead_letters(1)
        assert (dead.id, dead.body) == (parts[0].id, parts[0].body)
    assert [record.getMessage()[:47] for record in caplog.records] == [
        "webhook queue: a webhook of app app-1 with 3001"
    ]


async def test_queues_are_made_where_they_are_missing(open_queues: Callable[..., SqsQueues], aws: MotoAws) -> None:
    queues = open_queues(fifo=True, queue_url_prefix=None)
    queue = await queues.queue()
    assert await queue.depth() == {"waiting": 0, "in_flight": 0, "delayed": 0, "dead": 0}
    assert await queue._sqs.find("default") == f"{aws.url}/123456789012/sockudo_queue_default.fifo"
    assert await queue._sqs.find("failed") == f"{aws.url}/123456789012/sockudo_queue_failed"
    named = SqsQueues(aws.url, fifo=True, queue_url_prefix=f"{aws.url}/123456789012")
    assert (await (await named.queue()).depth())["dead"] == 0
    await named.close()


async def test_a_strangers_message_becomes_a_dead_letter(open_queues: Callable[..., SqsQueues]) -> None:
    queues = open_queues()
    queue = await queues.consumer()
    url = await queue._sqs.find("default")
    for body in ("no job", "[]", '{"id":"a"}'):
        await queue._sqs._call("send_message", QueueUrl=url, MessageBody=body)
    await queue.put([plain_job("a")])
    assert [job.id for job in await taken(queue, 1)] == ["a"]
    assert await queue.dead_letters(10) == []
    assert await queue.depth() == {"waiting": 0, "in_flight": 1, "delayed": 0, "dead": 3}
    # Nothing to send again there, and nothing lost.
    assert await queue.requeue(None) == 0
    assert await queue.purge_dead_letters() == 3


async def test_sqs_out_of_reach(open_queues: Callable[..., SqsQueues]) -> None:
    queues = open_queues(endpoint_url="http://127.0.0.1:9")
    queue = await queues.queue()
    for call in (
        queue.put([plain_job("a")]),
        queue.attach(),
        queue.depth(),
        queue.dead_letters(1),
        queue.requeue("a"),
    ):
        with pytest.raises(StoreUnavailable, match="cannot connect to sqs's endpoint_url"):
            await call


async def test_what_sqs_refuses_is_told_in_one_line(
    open_queues: Callable[..., SqsQueues], standin: FailingLambda
) -> None:
    standin.answer(403, {"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "not you\nsignature: x"})
    queues = open_queues(endpoint_url=standin.url, queue_url_prefix=None)
    queue = await queues.queue()
    with pytest.raises(StoreUnavailable) as refused:
        await queue.put([plain_job("a")])
    assert str(refused.value) == "queue sockudo_queue_default: AccessDeniedException: not you"
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in repr(refused.value.__cause__)
