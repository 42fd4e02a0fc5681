"""The contract of `WebhookQueue`, run on every driver, and one history driven through all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.backends import QueueSqs
from engine.config.redis import RedisOptions
from engine.interfaces import Job, WebhookQueue
from engine.redis.pool import connect
from engine.webhooks.queues.memory import MemoryQueue
from engine.webhooks.queues.redis import RedisQueue
from engine.webhooks.queues.sqs import dead_letters
from engine.webhooks.queues.sqs.queue import SqsQueue
from tests.contract.conftest import redis_options
from tests.support.aws import REGION, use_credentials
from tests.webhooks.making import plain_job

Opener = Callable[[], AbstractAsyncContextManager[WebhookQueue]]
LINE = "app-1/e1"
#: SQS keeps what is deferred, delayed and failed in the consumer, which gives it back like new.
NOT_IN_SQS = {
    "test_a_retry_is_made_due_by_an_operator",
    "test_what_is_given_back_stays_before_what_was_deferred",
    "test_detaching_gives_back_in_the_old_order",
}
#: A FIFO queue gives out nothing more of a line while some of it is held.
NOT_IN_FIFO = {
    "test_a_copy_that_is_dropped_leaves_the_first_one",
    "test_limit_and_depth",
    "test_a_retry_returns_when_it_is_due_with_its_history",
    "test_lanes_without_room_are_deferred_in_order",
    "test_dead_letters",
    "test_what_waits_for_a_retry_can_be_looked_at",
}


@asynccontextmanager
async def memory_queue() -> AsyncIterator[WebhookQueue]:
    yield MemoryQueue()


def redis_opener(options: RedisOptions) -> Opener:
    @asynccontextmanager
    async def open_queue() -> AsyncIterator[WebhookQueue]:
        client = connect(options)
        try:
            yield RedisQueue(client, options.beside_occupancy(f"{uuid4().hex}:"), "worker")
        finally:
            await client.aclose()

    return open_queue


def sqs_opener(url: str, *, fifo: bool) -> Opener:
    @asynccontextmanager
    async def open_queue() -> AsyncIterator[WebhookQueue]:
        prefix = f"{url}/123456789012/q{uuid4().hex}-"
        yield SqsQueue(QueueSqs(endpoint_url=url, region=REGION, queue_url_prefix=prefix, fifo=fifo))

    return open_queue


@pytest.fixture(params=["memory", "redis", "redis-cluster", "sqs", "sqs-fifo"])
async def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebhookQueue]:
    """Every driver in turn. SQS in what it promises: see `NOT_IN_SQS`."""
    test = request.node.originalname
    match request.param:
        case "memory":
            opener = memory_queue
        case "redis" | "redis-cluster":
            options = redis_options(request)
            assert options is not None
            opener = redis_opener(options)
        case driver:
            if test in NOT_IN_SQS or (driver == "sqs-fifo" and test in NOT_IN_FIFO):
                pytest.skip("SQS does not promise this")
            use_credentials(monkeypatch.setenv)
            # One server knows at once that there is nothing more.
            monkeypatch.setattr(dead_letters, "WAIT_S", 0)
            opener = sqs_opener(request.getfixturevalue("aws").url, fifo=driver == "sqs-fifo")

    async with opener() as queue:
        await queue.start()
        try:
            yield queue
        finally:
            await queue.stop()


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


async def filled(queue: WebhookQueue, *job_ids: str) -> None:
    assert await queue.attach() is not None
    await queue.put([plain_job(job_id) for job_id in job_ids])


async def test_jobs_come_out_as_they_went_in(queue: WebhookQueue) -> None:
    sent = [plain_job("a", "room", "zoë"), plain_job("b")]
    assert await queue.attach() is not None
    await queue.put(sent[:1])
    await queue.put(sent[1:])
    got = (await queue.reserve(10)).jobs
    for one, other in zip(sent, got, strict=True):
        assert (one.id, one.app_id, one.endpoint_id, one.body, one.channels, one.time_ms) == (
            other.id,
            other.app_id,
            other.endpoint_id,
            other.body,
            other.channels,
            other.time_ms,
        )
    assert (await queue.reserve(10)).jobs == []


async def test_limit_and_depth(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b", "c", "d", "e")
    first, second, third = (await queue.reserve(3)).jobs
    await queue.ack(first)
    await queue.retry(second, 1000)
    await queue.bury(third)
    assert ids((await queue.reserve(1)).jobs) == ["d"]
    assert (await queue.reserve(0)).jobs == []
    assert await queue.depth() == {"waiting": 1, "in_flight": 1, "delayed": 1, "dead": 1}


async def test_a_retry_returns_when_it_is_due_with_its_history(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b")
    (job,) = (await queue.reserve(1)).jobs
    job.attempt, job.errors = 1, ["status 500"]
    await queue.retry(job, 0)
    reserved = await queue.reserve(10)
    assert ids(reserved.jobs) == ["a", "b"]
    again = reserved.jobs[0]
    assert (again.attempt, again.errors, again.body) == (1, ["status 500"], job.body)
    again.attempt = 2
    await queue.retry(again, 500)
    reserved = await queue.reserve(10)
    assert reserved.jobs == []
    assert reserved.next_due_s is not None
    assert 400 < reserved.next_due_s <= 500


async def test_a_copy_that_is_dropped_leaves_the_first_one(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b", "a")
    kept, other, copy = (await queue.reserve(3)).jobs
    await queue.drop(copy, kept)
    assert (await queue.depth())["in_flight"] == 2
    for job in (kept, other):
        await queue.ack(job)
    assert not any((await queue.depth()).values())


async def test_settling_twice_changes_nothing_more(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b")
    first, second = (await queue.reserve(2)).jobs
    for _ in range(2):
        await queue.ack(first)
        await queue.bury(second)
    await queue.retry(first, 0)
    assert (await queue.reserve(10)).jobs == []
    assert await queue.depth() == {"waiting": 0, "in_flight": 0, "delayed": 0, "dead": 1}


async def test_lanes_without_room_are_deferred_in_order(queue: WebhookQueue) -> None:
    await filled(queue, "a")
    await queue.put([plain_job("other-1", endpoint_id="e2"), plain_job("b"), plain_job("c")])
    reserved = await queue.reserve(10, {LINE})
    assert ids(reserved.jobs) == ["other-1"]
    assert reserved.deferred == {LINE}
    # What comes later stays behind it, though there is room again.
    await queue.put([plain_job("d"), plain_job("other-2", endpoint_id="e2")])
    reserved = await queue.reserve(10)
    assert ids(reserved.jobs) == ["other-2"]
    assert (await queue.depth())["waiting"] == 4
    reserved = await queue.resume(LINE, 3)
    assert (ids(reserved.jobs), reserved.deferred) == (["a", "b", "c"], {LINE})
    reserved = await queue.resume(LINE, 3)
    assert (ids(reserved.jobs), reserved.deferred) == (["d"], frozenset())
    await queue.put([plain_job("e")])
    assert ids((await queue.reserve(10)).jobs) == ["e"]
    assert (await queue.resume("app-1/unknown", 3)).jobs == []


async def test_detaching_gives_back_in_the_old_order(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b", "c")
    first = (await queue.reserve(2)).jobs[0]
    first.attempt = 1
    await queue.retry(first, 0)
    # The retry is reserved after "b" and "c", but it is older.
    assert ids((await queue.reserve(10)).jobs) == ["a", "c"]
    await queue.put([plain_job("d")])
    await queue.detach()
    assert not queue.attached
    backlog = await queue.attach()
    assert backlog is not None
    assert queue.attached
    assert (backlog.in_flight, backlog.delayed) == ([], [])
    jobs = (await queue.reserve(10)).jobs
    assert ids(jobs) == ["a", "b", "c", "d"]
    assert jobs[0].attempt == 1


async def test_what_is_given_back_stays_before_what_was_deferred(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b")
    await queue.reserve(2)
    await queue.put([plain_job("c")])
    await queue.reserve(10, {LINE})
    await queue.detach()
    await queue.attach()
    await queue.put([plain_job("d")])
    assert (await queue.reserve(10)).jobs == []
    assert ids((await queue.resume(LINE, 10)).jobs) == ["a", "b", "c", "d"]


async def test_attaching_again_tells_what_is_in_flight_and_delayed(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b", "c")
    jobs = (await queue.reserve(2)).jobs
    await queue.retry(jobs[0], 1000)
    backlog = await queue.attach(jobs)
    assert backlog is not None
    assert (ids(backlog.in_flight), ids(backlog.delayed)) == (["b"], ["a"])
    await queue.ack(backlog.in_flight[0])
    assert await queue.depth() == {"waiting": 1, "in_flight": 0, "delayed": 1, "dead": 0}


async def filled_and_taken(queue: WebhookQueue, *names: str) -> list[Job]:
    await filled(queue, *names)
    return (await queue.reserve(10)).jobs


async def test_what_waits_for_a_retry_can_be_looked_at(queue: WebhookQueue) -> None:
    for job, delay_s in zip(await filled_and_taken(queue, "a", "b"), (1000, 500), strict=True):
        job.attempt, job.errors = 1, [f"status 50{job.id}"]
        await queue.retry(job, delay_s)
    found = await queue.delayed_jobs(10)
    assert [(job.id, job.attempt, job.errors) for job in found] == [("b", 1, ["status 50b"]), ("a", 1, ["status 50a"])]
    assert ids(await queue.delayed_jobs(1)) == ["b"]
    assert (await queue.depth())["delayed"] == 2


async def test_a_retry_is_made_due_by_an_operator(queue: WebhookQueue) -> None:
    for job in await filled_and_taken(queue, "a", "b"):
        job.attempt, job.errors = 2, ["status 500", "status 502"]
        await queue.retry(job, 1000)
    assert await queue.hasten("unknown") == 0
    assert await queue.hasten("b") == 1
    (due,) = (await queue.reserve(10)).jobs
    assert (due.id, due.attempt, due.errors) == ("b", 2, ["status 500", "status 502"])
    assert await queue.hasten("b") == 0, "it is on its way, once"
    assert (await queue.reserve(10)).jobs == []
    assert await queue.depth() == {"waiting": 0, "in_flight": 1, "delayed": 1, "dead": 0}


async def test_dead_letters(queue: WebhookQueue) -> None:
    await filled(queue, "a", "b", "c")
    for job in (await queue.reserve(3)).jobs:
        job.attempt, job.errors = 6, ["no answer", f"status 50{job.id}"]
        await queue.bury(job)
    newest = await queue.dead_letters(2)
    assert ids(newest) == ["c", "b"]
    assert (newest[0].attempt, newest[0].errors) == (6, ["no answer", "status 50c"])
    assert await queue.dead_letters(0) == []
    assert await queue.requeue("unknown") == 0
    assert await queue.requeue("b") == 1
    (again,) = (await queue.reserve(10)).jobs
    assert (again.id, again.attempt, again.errors) == ("b", 0, [])
    assert await queue.requeue(None) == 2
    assert ids((await queue.reserve(10)).jobs) == ["a", "c"]
    assert await queue.dead_letters(10) == []
    await queue.bury(again)
    assert await queue.forget("unknown") == 0
    assert await queue.forget("b") == 1
    assert await queue.forget("b") == 0
    (left,) = await filled_and_taken(queue, "d")
    await queue.bury(left)
    assert await queue.purge_dead_letters() == 1
    assert await queue.purge_dead_letters() == 0
    assert await queue.dead_letters(10) == []


async def test_wait_returns_when_something_arrives(queue: WebhookQueue) -> None:
    await queue.attach()
    await queue.wait(0.01)
    waiting = asyncio.create_task(queue.wait(1.0))
    await asyncio.sleep(0)
    await queue.put([plain_job("a")])
    await asyncio.wait_for(waiting, 0.9)
    assert ids((await queue.reserve(1)).jobs) == ["a"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(["e1", "e2"])),
        st.tuples(st.just("reserve"), st.integers(0, 3)),
        st.tuples(st.just("reserve_full"), st.integers(0, 3)),
        st.tuples(st.just("resume"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["ack", "due", "later", "bury"]), st.integers(0, 5)),
        st.tuples(st.sampled_from(["detach", "reattach", "requeue", "requeue_all", "purge"]), st.just(0)),
    ),
    max_size=40,
)


async def play(queue: WebhookQueue, steps: list[tuple[str, str | int]]) -> list[object]:
    """What an observer sees of one history."""
    seen: list[object] = []
    held: dict[str, Job] = {}
    await queue.attach()
    for number, (step, choice) in enumerate(steps):
        match step, choice:
            case "put", str(endpoint):
                await queue.put([plain_job(f"j{number:02}", endpoint_id=endpoint)])
            case "reserve" | "reserve_full" | "resume", int(limit):
                if step == "resume":
                    reserved = await queue.resume(LINE, limit)
                else:
                    reserved = await queue.reserve(limit, {LINE} if step == "reserve_full" else ())
                held.update((job.id, job) for job in reserved.jobs)
                seen.append(([(job.id, job.attempt) for job in reserved.jobs], reserved.deferred))
            case "ack" | "due" | "later" | "bury", int(index) if index < len(held):
                job = held.pop(list(held)[index])
                job.attempt += 1
                if step == "due":
                    # At once, because retries that come due in the same millisecond have no order among them.
                    await queue.retry(job, 0)
                    (held[job.id],) = (await queue.reserve(1)).jobs
                elif step == "later":
                    await queue.retry(job, 1000)
                elif step == "ack":
                    await queue.ack(job)
                else:
                    await queue.bury(job)
            case "detach", _:
                held.clear()
                await queue.detach()
                seen.append(await queue.attach())
            case "reattach", _:
                backlog = await queue.attach(list(held.values()))
                assert backlog is not None
                seen.append((sorted(ids(backlog.in_flight)), sorted(ids(backlog.delayed))))
            case "requeue", _:
                dead = await queue.dead_letters(1)
                seen.append(await queue.requeue(dead[0].id) if dead else None)
            case "requeue_all", _:
                seen.append(await queue.requeue(None))
            case "purge", _:
                seen.append(await queue.purge_dead_letters())
        seen.append(await queue.depth())
        seen.append([(job.id, job.attempt) for job in await queue.dead_letters(10)])
    return seen


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_all_drivers_tell_the_same_of_the_same_history(redis_url: str, steps: list[tuple[str, str | int]]) -> None:
    async def both() -> None:
        async with memory_queue() as model, redis_opener(RedisOptions.parse(redis_url))() as queue:
            assert await play(queue, steps) == await play(model, steps)

    asyncio.run(both())
