"""What the Redis queue promises beyond the contract: crashes, hands, hostile bytes and lost data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from redis.asyncio import Redis

from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Job, Reservation
from engine.metrics.metrics import Metrics
from engine.webhooks.job import encode
from engine.webhooks.queues import dead_letter_room
from engine.webhooks.queues.redis import RedisQueue
from engine.webhooks.room import Limits
from tests.support.valkey import ValkeyServer
from tests.support.waiting import PATIENCE_S, until
from tests.webhooks.making import plain_job

LEASE_S = 0.15


class RedisQueues:
    """A Redis client, a prefix of its own, and queues on it."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.prefix = f"{uuid4().hex}:"
        self.metrics = Metrics()

    def queue(self, consumer: str = "one", lease_s: float = 60.0, **options: float) -> RedisQueue:
        return RedisQueue(
            self.client,
            self.prefix,
            consumer,
            lease_s=lease_s,
            metrics=self.metrics,
            **options,  # type: ignore[arg-type]
        )

    async def hand(self, *command: object) -> object:
        """A command as redis-cli sends it; `<prefix>` stands for the prefix."""
        return await self.client.execute_command(*(str(c).replace("<prefix>", self.prefix) for c in command))


@asynccontextmanager
async def redis_queues(url: str) -> AsyncIterator[RedisQueues]:
    client = Redis.from_url(url)
    try:
        yield RedisQueues(client)
    finally:
        await client.aclose()


@pytest.fixture
async def queues(redis_url: str) -> AsyncIterator[RedisQueues]:
    async with redis_queues(redis_url) as queues:
        yield queues


def ids(reserved: Reservation) -> list[str]:
    return [job.id for job in reserved.jobs]


async def attached_after_lease(queue: RedisQueue) -> None:
    async def attached() -> bool:
        return await queue.attach() is not None

    await until(attached)


async def test_only_one_consumer_at_a_time_and_a_dead_ones_jobs_come_first(queues: RedisQueues) -> None:
    dead, heir = queues.queue("dead", LEASE_S), queues.queue("heir")
    assert await dead.attach() is not None
    await dead.put([plain_job(i) for i in "abcd"])
    jobs = (await dead.reserve(3)).jobs
    jobs[0].attempt = 3
    await dead.retry(jobs[0], 0)
    await dead.reserve(1)
    assert await heir.attach() is None
    assert not heir.attached
    await attached_after_lease(heir)
    await heir.put([plain_job("e")])
    reserved = await heir.reserve(10)
    assert ids(reserved) == ["a", "b", "c", "d", "e"]
    assert reserved.jobs[0].attempt == 3
    # The dead one was only asleep: whatever it tries is refused, and it may come back under a new name.
    asleep = [queues.queue("dead") for _ in range(4)]
    for refused in (
        asleep[0].attach(),
        asleep[1].ack(jobs[1]),
        asleep[2].retry(jobs[1], 0),
        asleep[3].bury(jobs[1]),
        dead.reserve(1),
    ):
        with pytest.raises(IncarnationGone):
            await refused
    assert not dead.attached
    assert await dead.attach() is None
    await heir.detach()
    assert await dead.attach() is not None
    assert len((await dead.reserve(10)).jobs) == 5


async def test_the_lease_is_known_locally_and_renewed_by_reserving(queues: RedisQueues) -> None:
    now = [100.0]
    queue = queues.queue("one", 2.0, clock=lambda: now[0])  # type: ignore[arg-type]
    assert not queue.attached
    await queue.attach()
    now[0] += 1.9
    assert queue.attached
    await queue.reserve(0)
    now[0] += 1.9
    assert queue.attached
    now[0] += 0.2
    assert not queue.attached


async def test_a_worker_known_to_be_dead_is_not_waited_for(queues: RedisQueues) -> None:
    dead, heir = queues.queue("worker-1"), queues.queue("worker-10")
    await dead.attach()
    await heir.expire("worker-10")
    await heir.expire("worker")
    assert await heir.attach() is None
    await heir.expire("worker-1")
    assert await heir.attach() is not None


async def test_a_reply_that_got_lost_is_found_again_on_attaching(queues: RedisQueues) -> None:
    queue, same = queues.queue(), queues.queue()
    await queue.attach()
    await queue.put([plain_job(i) for i in "abc"])
    held = (await queue.reserve(1)).jobs
    assert ids(await same.reserve(1)) == ["b"]
    backlog = await queue.attach(held)
    assert backlog is not None
    assert [job.id for job in backlog.in_flight] == ["a", "b"]
    for job in backlog.in_flight:
        await queue.ack(job)
    assert await queue.depth() == {"waiting": 1, "in_flight": 0, "delayed": 0, "dead": 0}


async def test_a_job_that_changes_hands_is_counted_once(queues: RedisQueues) -> None:
    await queues.queue().put([plain_job("a")])
    moving = True

    async def move() -> None:
        for n in range(100):
            queue = queues.queue(f"consumer-{n}")
            await queue.attach()
            await queue.reserve(1)
            await queue.detach()

    async def count() -> set[int]:
        watching, sums = queues.queue("operator"), set()
        while moving:
            sums.add(sum((await watching.depth()).values()))
        return sums

    counting = asyncio.create_task(count())
    await move()
    moving = False
    assert await counting == {1}


async def test_a_store_that_lost_everything_gets_the_held_jobs_back(queues: RedisQueues) -> None:
    queue = queues.queue()
    await queue.attach()
    await queue.put([plain_job(i) for i in "abc"])
    held = (await queue.reserve(3)).jobs
    held[1].attempt = 2
    await queue.retry(held[1], 1000)
    for key in await queues.client.keys(queues.prefix + "*"):
        await queues.client.delete(key)
    with pytest.raises(StoreUnavailable):
        await queue.reserve(1)
    assert not queue.attached
    backlog = await queue.attach(held)
    assert backlog is not None
    assert [(job.id, job.attempt) for job in backlog.in_flight] == [("a", 0), ("b", 2), ("c", 0)]


async def test_the_first_of_two_copies_keeps_its_place(queues: RedisQueues) -> None:
    """A replica that took over may still have waiting what its consumer holds already: all of it comes twice."""
    queue, heir = queues.queue(), queues.queue("heir")
    await queue.attach()
    jobs = [plain_job(i) for i in "abc"]
    await queue.put(jobs)
    await queue.attach(held := (await queue.reserve(3)).jobs)
    await queue.put([*jobs, plain_job("d")])
    copies = (await queue.reserve(2)).jobs
    for kept, copy in zip(held, copies, strict=False):
        # The answer to the first may have got lost.
        for _ in range(2):
            await queue.drop(copy, kept)
    await queue.detach()
    await attached_after_lease(heir)
    assert ids(await heir.reserve(10)) == ["a", "b", "c", "c", "d"]


async def test_a_copy_is_kept_where_the_store_has_no_other(queues: RedisQueues) -> None:
    """It had lost that."""
    queue, heir = queues.queue(), queues.queue("heir")
    await queue.attach()
    await queue.put([plain_job("a")])
    (held,) = (await queue.reserve(1)).jobs
    await queues.client.lmove(queues.prefix + "in_flight:one.0", queues.prefix + "default", "LEFT", "RIGHT")
    (copy,) = (await queue.reserve(1)).jobs
    await queue.drop(copy, held)
    await queue.detach()
    await attached_after_lease(heir)
    assert ids(await heir.reserve(10)) == ["a"]


async def test_requeue_by_hand_as_the_documentation_says(queues: RedisQueues) -> None:
    queue = queues.queue()
    await queue.attach()
    await queue.put([plain_job(i) for i in "abc"])
    for job in (await queue.reserve(3)).jobs:
        job.attempt, job.errors = 5, ["status 500"] * 5
        await queue.bury(job)
    await queue.put([plain_job("d")])
    assert await queues.hand("LLEN", "<prefix>failed") == 3
    shown = orjson.loads((await queues.hand("LRANGE", "<prefix>failed", 0, 5))[0])  # type: ignore[index]
    assert (shown["id"], shown["attempt"], shown["errors"]) == ("a", 5, ["status 500"] * 5)
    for _ in range(3):
        assert await queues.hand("RPOPLPUSH", "<prefix>failed", "<prefix>default")
    reserved = await queue.reserve(10)
    assert [(job.id, job.attempt, job.errors) for job in reserved.jobs] == [(i, 0, []) for i in "abcd"]


async def test_a_job_written_by_hand_is_taken_whatever_its_order_of_members(queues: RedisQueues) -> None:
    queue = queues.queue()
    await queue.attach()
    entry = orjson.loads(encode(plain_job("a")))
    await queues.hand("LPUSH", "<prefix>default", orjson.dumps(dict(sorted(entry.items()))).decode())
    reserved = await queue.reserve(10, {"app-1/e1"})
    assert (ids(reserved), reserved.deferred) == ([], {"app-1/e1"})
    assert ids(await queue.resume("app-1/e1", 10)) == ["a"]


async def test_what_is_no_job_goes_to_the_dead_letters_with_the_reason(queues: RedisQueues) -> None:
    queue = queues.queue()
    await queue.attach()
    hostile = [b"", b"\xff\xfe", b"{}", b'{"app_id":"a","endpoint_id":"b"}', b"[" * 5000, b"\x00" * 100_000]
    hostile += [b'{"app_id":"a","endpoint_id":"b",' + b'"id":' * 10, b"null", b'"text"']
    for entry in hostile:
        await queues.client.rpush(queues.prefix + "default", entry)
    await queues.client.zadd(queues.prefix + "delayed", {b"rubbish": 0})
    await queue.put([plain_job("good")])
    assert ids(await queue.reserve(100)) == ["good"]
    assert queues.metrics.value("webhook_malformed_jobs_total") == len(hostile) + 1
    dead = await queues.client.lrange(queues.prefix + "failed", 0, -1)
    assert len(dead) == len(hostile) + 1
    assert orjson.loads(dead[0])["malformed"]
    assert orjson.loads(dead[0])["entry"] == "rubbish"
    assert (await queue.depth())["in_flight"] == 1
    # Requeued by hand, they come back as they were.
    assert await queue.requeue(None) == len(dead)
    assert ids(await queue.reserve(100)) == []
    assert await queues.client.lrange(queues.prefix + "failed", 0, -1) == dead
    assert await queue.dead_letters(100) == []


async def test_keys_of_the_wrong_type_are_an_error_not_a_crash(queues: RedisQueues) -> None:
    queue = queues.queue()
    await queue.attach()
    await queues.client.set(queues.prefix + "default", "text")
    with pytest.raises(StoreUnavailable):
        await queue.reserve(1)
    with pytest.raises(StoreUnavailable):
        await queue.put([plain_job("a")])
    with pytest.raises(StoreUnavailable):
        await queue.wait(0.01)


async def test_dead_letters_are_limited_and_the_loss_is_counted(queues: RedisQueues) -> None:
    queue = queues.queue(max_dead_letters=2)
    await queue.attach()
    await queue.put([plain_job(i) for i in "abc"])
    for job in (await queue.reserve(3)).jobs:
        await queue.bury(job)
    assert [job.id for job in await queue.dead_letters(10)] == ["c", "b"]
    assert queues.metrics.value("webhook_dead_letters_dropped_total") == 1


def of_endpoint(job: Job, endpoint_id: str, size: int = 2) -> Job:
    return replace(job, endpoint_id=endpoint_id, body="x" * size)


@pytest.mark.parametrize(
    ("options", "size"),
    [({"max_dead_letters": 20}, 2), ({"limits": Limits(dead_bytes=100_000)}, 5_000)],
    ids=["number", "bytes"],
)
async def test_dead_letters_of_one_endpoint_push_out_none_of_another(
    queues: RedisQueues,
    options: dict[str, Any],
    size: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dead_letter_room, "SLICE", 7)
    queue = queues.queue(**options)
    await queue.attach()
    jobs = [of_endpoint(plain_job(f"quiet-{n}"), "quiet", size) for n in range(3)]
    jobs += [of_endpoint(plain_job(f"loud-{n}"), "loud", size) for n in range(80)]
    await queue.put(jobs)
    for job in (await queue.reserve(100)).jobs:
        await queue.bury(job)
    dead = [job.id for job in await queue.dead_letters(100)]
    assert [name for name in dead if name.startswith("quiet")] == ["quiet-2", "quiet-1", "quiet-0"]
    # The newest of the others, in their order, and as many as there is room for.
    assert dead[: len(dead) - 3] == [f"loud-{79 - n}" for n in range(len(dead) - 3)]
    assert 10 <= len(dead) <= 21
    assert queues.metrics.value("webhook_dead_letters_dropped_total") == 83 - len(dead)
    assert "loud lost the oldest" in caplog.text
    assert "quiet lost" not in caplog.text


async def test_nothing_is_left_behind_when_all_is_delivered(queues: RedisQueues) -> None:
    queue = queues.queue()
    await queue.attach()
    await queue.put([plain_job("a"), plain_job("b")])
    await queue.reserve(1, {"app-1/e1"})
    jobs: list[Job] = (await queue.resume("app-1/e1", 5)).jobs
    jobs += (await queue.reserve(5)).jobs
    for job in jobs:
        await queue.ack(job)
    await queue.detach()
    assert await queues.client.keys(queues.prefix + "*") == []


async def test_a_server_that_hangs_or_is_gone_is_told_in_time() -> None:
    with ValkeyServer() as server:
        async with redis_queues(server.url) as queues:
            queue = queues.queue(timeout_s=0.2)
            await queue.attach()
            server.pause()
            for call in (queue.put([plain_job("a")]), queue.reserve(1), queue.depth(), queue.wait(0.05)):
                with pytest.raises(StoreUnavailable):
                    await asyncio.wait_for(call, PATIENCE_S)
            server.resume()
            server.kill()
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(queue.reserve(1), PATIENCE_S)
            server.start()
            assert await queue.attach() is not None
            await queue.put([plain_job("b")])
            await until(lambda: queue.attached)
            assert "b" in ids(await queue.reserve(5))
