"""What the SQS queue promises beyond the contract: order in FIFO queues, crashes, sizes, and its way out of Redis."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.config.shared import QueueSqs
from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Job
from engine.webhooks import queue_sqs, sqs_held, sqs_letters
from engine.webhooks.job import encode, make_job
from engine.webhooks.queue_sqs import SqsQueue
from engine.webhooks.sqs_outbox import MemoryOutbox, RedisOutbox
from tests.support.aws import CREDENTIALS, REGION, FailingLambda, MotoAws, use_credentials
from tests.support.waiting import wait_until_async
from tests.webhooks.making import NOW_MS, make_event, plain_job
from tests.webhooks.rig import Rig, Sender, endpoint, fail_first, numbered


class Bench:
    """Queues of one name, with the same options. Each is a worker of its own."""

    def __init__(self, url: str, **options: Any) -> None:
        where = {"endpoint_url": url, "region": REGION, "queue_url_prefix": f"{url}/123456789012/q{uuid4().hex}-"}
        self.config = QueueSqs(**(where | {"wait_time_seconds": 0} | options))
        self._opened: list[SqsQueue] = []

    async def queue(self, outbox: Any = None, **options: Any) -> SqsQueue:
        queue = SqsQueue(self.config, outbox, **options)
        self._opened.append(queue)
        await queue.start()
        return queue

    async def consumer(self, outbox: Any = None, **options: Any) -> SqsQueue:
        queue = await self.queue(outbox, **options)
        assert await queue.attach() is not None
        return queue

    async def close(self) -> None:
        for queue in self._opened:
            await queue.stop()


Scenario = Callable[[Bench], Coroutine[None, None, None]]
Runner = Callable[..., None]


@pytest.fixture
def bench(aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Plays a scenario on queues of its own: ``bench(scenario, fifo=True)``."""
    use_credentials(monkeypatch.setenv)
    monkeypatch.setattr(sqs_letters, "WAIT_S", 0)
    monkeypatch.setattr(queue_sqs, "IDLE_S", 0.02)

    async def play(scenario: Scenario, options: dict[str, Any]) -> None:
        made = Bench(aws.url, **options)
        try:
            await scenario(made)
        finally:
            await made.close()

    return lambda scenario, **options: asyncio.run(play(scenario, options))


async def taken(queue: SqsQueue, count: int) -> list[Job]:
    """The next `count` jobs, as they come."""
    jobs: list[Job] = []
    async with asyncio.timeout(10):
        while len(jobs) < count:
            jobs += (await queue.reserve(count - len(jobs))).jobs
            await asyncio.sleep(0.01)
    return jobs


async def ids(queue: SqsQueue, limit: int = 10) -> list[str]:
    return [job.id for job in (await queue.reserve(limit)).jobs]


# --- who consumes


def test_a_fifo_queue_keeps_each_endpoints_order_over_a_change_of_consumer(bench: Runner) -> None:
    async def scenario(bench: Bench) -> None:
        first = await bench.consumer()
        await first.put(
            [plain_job(name, endpoint_id=line) for name, line in zip("aAbBcC", ["e1", "e2"] * 3, strict=True)]
        )
        a = (await taken(first, 6))[0]
        await first.retry(a, 1000)
        second = await bench.consumer()
        assert await ids(second) == [], "what is held is nobody else's"
        await first.detach()
        jobs = await taken(second, 6)
        for line in ("abc", "ABC"):
            assert [job.id for job in jobs if job.id in line] == list(line)

    bench(scenario, fifo=True)


@pytest.mark.parametrize("fifo", [False, True])
def test_jobs_of_a_consumer_that_died_come_again(bench: Runner, fifo: bool) -> None:
    async def scenario(bench: Bench) -> None:
        first = await bench.consumer()
        await first.put([plain_job("a"), plain_job("b", endpoint_id="e2")])
        (await taken(first, 2))[0].attempt = 3
        # Killed: nobody hides them any more.
        assert first._keeper is not None
        first._keeper.cancel()
        jobs = await taken(await bench.consumer(), 2)
        assert sorted((job.id, job.attempt) for job in jobs) == [("a", 0), ("b", 0)]

    bench(scenario, fifo=fifo, visibility_timeout=1)


def test_what_is_held_stays_hidden(bench: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
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
        await wait_until_async(lambda: hidden >= 5)
        assert queue.attached
        assert await ids(await bench.consumer()) == []
        await queue.ack(jobs[1])
        assert (await queue.depth())["reserved"] == 0

    bench(scenario, visibility_timeout=3)


def test_a_consumer_that_stood_still_is_none_any_more(bench: Runner) -> None:
    async def scenario(bench: Bench) -> None:
        now = 0.0
        queue = await bench.consumer(clock=lambda: now)
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
        assert (backlog.reserved, backlog.parked) == ([], [])
        assert await ids(queue) == ["b"]

    bench(scenario)


def test_a_message_taken_away_ends_the_consumer(bench: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever works on a job that SQS has given to another must not go on."""

    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        call, refused = queue._sqs._call, [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]

        async def lost(operation: str, *args: Any, **parameters: Any) -> dict[str, Any]:
            refuse = operation == "change_message_visibility_batch"
            return {"Failed": refused} if refuse else await call(operation, *args, **parameters)

        await queue.put([plain_job("a")])
        (job,) = await taken(queue, 1)
        monkeypatch.setattr(queue._sqs, "_call", lost)
        await wait_until_async(lambda: not queue.attached)
        with pytest.raises(IncarnationGone):
            await queue.ack(job)

    bench(scenario, visibility_timeout=2)


# --- isolation and order


def test_an_endpoint_that_waits_holds_up_no_other(bench: Runner) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        await queue.put([plain_job(f"dead-{n}", endpoint_id="dead") for n in range(15)])
        dead = (await queue.reserve(100)).jobs
        assert [job.id for job in dead] == [f"dead-{n}" for n in range(10)], "as many as SQS gives of one group"
        for job in dead:
            await queue.retry(job, 1000)
        await queue.put([plain_job("a"), plain_job("b")])
        assert await ids(queue) == ["a", "b"]

    bench(scenario, fifo=True)


def test_what_finds_no_room_aside_is_left_to_sqs(bench: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        await queue.put([plain_job(name) for name in "abcd"] + [plain_job("x", endpoint_id="e2")])
        monkeypatch.setattr(sqs_held, "MAX_ASIDE_BYTES", 2 * len(encode(plain_job("a"))))
        reserved = await queue.reserve(10, {"app-1/e1"})
        assert ([job.id for job in reserved.jobs], reserved.aside) == (["x"], {"app-1/e1"})
        assert [job.id for job in (await queue.resume("app-1/e1", 10)).jobs] == ["a", "b"]
        assert [job.id for job in await taken(queue, 2)] == ["c", "d"]

    bench(scenario, visibility_timeout=1)


@pytest.mark.parametrize("fifo", [False, True])
def test_a_delivery_on_sqs(bench: Runner, fifo: bool) -> None:
    async def scenario(bench: Bench) -> None:
        queue, sender = await bench.queue(), Sender()
        sender.behave = fail_first(1, 3, 7)
        rig = Rig(queue, sender, endpoint("e1"), endpoint("e2"))
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
        assert not await queue.failed(10)

    bench(scenario, fifo=fifo)


# --- putting


def test_a_job_put_twice_is_one_job_in_a_fifo_queue(bench: Runner) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        for _ in range(2):
            await queue.put([plain_job("a"), plain_job("b")])
        assert [job.id for job in await taken(queue, 2)] == ["a", "b"]
        assert await queue.depth() == {"waiting": 0, "reserved": 2, "delayed": 0, "failed": 0}

    bench(scenario, fifo=True)


def test_a_dead_letter_is_requeued_at_once_in_a_fifo_queue(bench: Runner) -> None:
    """SQS would drop the same message within five minutes."""

    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        await queue.put([plain_job("a"), plain_job("b")])
        for job in await taken(queue, 2):
            job.attempt, job.errors = 6, ["status 500"]
            await queue.bury(job)
        operator = await bench.queue()
        assert [job.errors for job in await operator.failed(10)] == [["status 500"]] * 2
        assert await operator.requeue(None) == 2
        assert sorted([(job.id, job.attempt) for job in await taken(queue, 2)]) == [("a", 0), ("b", 0)]
        assert await operator.purge_failed() == 0

    bench(scenario, fifo=True)


def test_any_text_survives(bench: Runner) -> None:
    text = "".join(map(chr, [*range(0x100), 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFF]))

    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        job = plain_job("a", text)
        job.body = json.dumps({"time_ms": 1, "events": [{"data": text}]}, ensure_ascii=False)
        await queue.put([job])
        (got,) = await taken(queue, 1)
        assert (got.body, got.channels) == (job.body, job.channels)
        got.errors = [text]
        await queue.bury(got)
        assert [(dead.errors, dead.body) for dead in await queue.failed(1)] == [([text], job.body)]

    bench(scenario)


def test_what_is_too_large_for_sqs_is_sent_in_parts(bench: Runner, caplog: pytest.LogCaptureFixture) -> None:
    events = [make_event(f"room-{n}-{'x' * 180}") for n in range(2000)]
    job = make_job("app-1", "e1", events, NOW_MS)
    assert len(job.body) > 400_000
    huge = plain_job("huge")
    huge.body = '{"time_ms":1,"events":[{"data":"' + "x" * 300_000 + '"}]}'

    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
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
        (dead,) = await queue.failed(1)
        assert (dead.id, dead.body) == (parts[0].id, parts[0].body)

    with caplog.at_level(logging.ERROR):
        bench(scenario, fifo=True)
    assert [record.getMessage()[:47] for record in caplog.records] == [
        "webhook queue: a webhook of app app-1 with 3001"
    ]


# --- the way out of Redis, and out of this process


def test_jobs_of_the_leaders_commit_go_on_to_sqs(bench: Runner, redis_url: str) -> None:
    async def scenario(bench: Bench) -> None:
        client, name = Redis.from_url(redis_url), f"{uuid4().hex}:outbox"
        try:
            queue = await bench.consumer(RedisOutbox(client, name))
            assert queue.default_list == name
            waiting = asyncio.create_task(queue.wait(5.0))
            await client.rpush(name, encode(plain_job("a")), b"no job", encode(plain_job("b")))
            assert (await queue.depth())["waiting"] == 3
            await waiting
            assert sorted(job.id for job in await taken(queue, 2)) == ["a", "b"]
            assert await client.llen(name) == 0
            # The batchers' jobs need no detour.
            await queue.put([plain_job("c")])
            assert await client.llen(name) == 0
            assert [job.id for job in await taken(queue, 1)] == ["c"]
            assert (await queue.depth())["failed"] == 1
        finally:
            await client.aclose()

    bench(scenario)


def test_in_one_process_a_job_is_taken_without_any_wait(bench: Runner) -> None:
    """So nothing can happen between the leader's look, its jobs and its commit."""

    async def scenario(bench: Bench) -> None:
        queue = await bench.queue(MemoryOutbox(max_jobs=3))
        assert queue.default_list is None
        coroutine = queue.put([plain_job("a"), plain_job("b"), plain_job("c")])
        with pytest.raises(StopIteration):
            coroutine.send(None)
        with pytest.raises(StoreUnavailable, match="3 webhook requests wait for SQS already"):
            await queue.put([plain_job("d")])
        assert (await queue.depth())["waiting"] == 3
        await queue.stop()
        assert [job.id for job in await taken(await bench.consumer(), 3)] == ["a", "b", "c"]

    bench(scenario)


def test_what_cannot_be_sent_before_the_end_is_told(bench: Runner, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.queue(MemoryOutbox())
        await queue.put([plain_job("a")])
        await queue.stop()
        assert "1 webhook requests are lost, SQS did not take them: queue" in caplog.text

    bench(scenario, endpoint_url="http://127.0.0.1:9")


# --- SQS itself


def test_queues_are_made_where_they_are_missing(bench: Runner, aws: MotoAws) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.queue()
        assert await queue.depth() == {"waiting": 0, "reserved": 0, "delayed": 0, "failed": 0}
        assert await queue._sqs.find("default") == f"{aws.url}/123456789012/sockudo_queue_default.fifo"
        assert await queue._sqs.find("failed") == f"{aws.url}/123456789012/sockudo_queue_failed"
        named = Bench(aws.url, fifo=True, queue_url_prefix=f"{aws.url}/123456789012")
        assert (await (await named.queue()).depth())["failed"] == 0
        await named.close()

    bench(scenario, fifo=True, queue_url_prefix=None)


def test_a_strangers_message_becomes_a_dead_letter(bench: Runner) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        url = await queue._sqs.find("default")
        for body in ("no job", "[]", '{"id":"a"}'):
            await queue._sqs._call("send_message", QueueUrl=url, MessageBody=body)
        await queue.put([plain_job("a")])
        assert [job.id for job in await taken(queue, 1)] == ["a"]
        assert await queue.failed(10) == []
        assert await queue.depth() == {"waiting": 0, "reserved": 1, "delayed": 0, "failed": 3}
        # Nothing to send again there, and nothing lost.
        assert await queue.requeue(None) == 0
        assert await queue.purge_failed() == 3

    bench(scenario)


def test_sqs_out_of_reach(bench: Runner) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.queue()
        for call in (queue.put([plain_job("a")]), queue.attach(), queue.depth(), queue.failed(1), queue.requeue("a")):
            with pytest.raises(StoreUnavailable, match="cannot connect to sqs's endpoint_url"):
                await call

    bench(scenario, endpoint_url="http://127.0.0.1:9")


def test_what_sqs_refuses_is_told_in_one_line(bench: Runner, standin: FailingLambda) -> None:
    standin.answer(403, {"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "not you\nsignature: x"})

    async def scenario(bench: Bench) -> None:
        queue = await bench.queue()
        with pytest.raises(StoreUnavailable) as refused:
            await queue.put([plain_job("a")])
        assert str(refused.value) == "queue sockudo_queue_default: AccessDeniedException: not you"
        assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in repr(refused.value.__cause__)

    bench(scenario, endpoint_url=standin.url, queue_url_prefix=None)


def test_a_look_that_waits_for_nothing_does_not_spin(bench: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        queue = await bench.consumer()
        looks = 0
        receive = queue._sqs.receive

        async def counted(*args: Any) -> Any:
            nonlocal looks
            looks += 1
            return await receive(*args)

        monkeypatch.setattr(queue._sqs, "receive", counted)
        monkeypatch.setattr(queue_sqs, "IDLE_S", 60)
        for _ in range(20):
            await queue.wait(0.01)
            await queue.reserve(10)
        assert looks == 1

    bench(scenario)
