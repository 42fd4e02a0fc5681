"""Jobs of what workers saw themselves stand behind the transitions that may be told by then, and behind no others."""

from __future__ import annotations

import pytest

from engine.errors import StoreUnavailable
from engine.interfaces import Transition
from engine.occupancy.redis import RedisOccupancy
from tests.leader.leading import LeaderAndItsParts, led, occupied, until
from tests.occupancy.clusters import InMemory, InRedis
from tests.occupancy.stores import opened, presence
from tests.webhooks.making import Batches, plain_job

SETTLE_MS = 30_000


async def tell(store: RedisOccupancy, queue: str) -> list[Transition]:
    """What the leader does: its commits queue the name of each transition."""
    await store.acquire("a", 60_000)
    told: list[Transition] = []
    while due := (await store.due(100)).transitions:
        assert await store.commit("a", due, [(queue, t.name.encode()) for t in due])
        told += due
    return told


async def queued(cluster: InRedis, queue: str) -> list[bytes]:
    entries: list[bytes] = await cluster.client.lrange(queue, 0, -1)  # type: ignore[misc]
    return entries


async def test_jobs_wait_for_what_may_be_told_before(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue = f"{cluster.name}-queue"
        await store.push([(queue, b"nothing came before")])
        assert await queued(cluster, queue) == [b"nothing came before"]

        await store.report("a", [occupied("c1"), occupied("c2")])
        await store.push([(queue, b"1"), (queue, b"2\x00\xff\n")])
        # Whoever comes now is told after these.
        await store.report("a", [occupied("c3")])
        await store.push([(queue, b"3")])
        assert len(await queued(cluster, queue)) == 1
        await tell(store, queue)
        expected = [*[b"channel_occupied"] * 2, b"1", b"2\x00\xff\n", b"channel_occupied", b"3"]
        assert (await queued(cluster, queue))[1:] == expected
        await store.push([(queue, b"4")])
        assert (await queued(cluster, queue))[-1] == b"4"
        assert not await cluster.client.exists(cluster.keys.base + "after_transitions")


async def test_many_are_released_before_anything_later_is_told(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue, jobs = f"{cluster.name}-queue", [b"%d" % n for n in range(1_200)]
        await store.report("a", [occupied("c1")])
        await store.push([(queue, job) for job in jobs])
        await store.report("a", [occupied("c2")])
        due = await store.due(100)
        assert ([t.channel for t in due.transitions], due.next_due_in_ms) == (["c1"], 0)
        await store.acquire("a", 60_000)
        assert await store.commit("a", due.transitions[:1], [(queue, b"c1")])
        looks = 0
        while not (due := await store.due(100)).transitions:
            assert due.next_due_in_ms == 0
            looks += 1
        assert looks == 2
        assert await queued(cluster, queue) == [b"c1", *jobs]


async def test_a_departure_that_settles_holds_nothing_up(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue = f"{cluster.name}-queue"
        await store.report("a", [presence(1)])
        await tell(store, queue)
        await store.report("a", [presence(0, settle_ms=SETTLE_MS)])
        await store.push([(queue, b"said before it left")])
        await cluster.pass_ms(SETTLE_MS)
        await store.push([(queue, b"said after that was due")])
        await tell(store, queue)
        assert await queued(cluster, queue) == [
            b"channel_occupied",
            b"said before it left",
            b"channel_vacated",
            b"said after that was due",
        ]


async def test_what_cannot_be_queued_is_kept_and_stops_no_transition(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue, broken = f"{cluster.name}-queue", f"{cluster.name}-broken"
        await cluster.client.set(broken, "not a list")
        with pytest.raises(StoreUnavailable):
            await store.push([(broken, b"1")])
        await store.report("a", [occupied("c")])
        await store.push([(broken, b"1"), (queue, b"2")])
        await cluster.client.zadd(cluster.keys.base + "after_transitions", {"garbage": 0, "0000000000000001x": 1})
        assert [t.channel for t in await tell(store, queue)] == ["c"]
        await store.report("a", [occupied("d")])
        assert [t.channel for t in await tell(store, queue)] == ["d"]
        assert await queued(cluster, queue) == [b"channel_occupied"] * 2
        await cluster.client.delete(broken)
        await store.due(100)
        assert await queued(cluster, broken) == [b"1"]
        assert await queued(cluster, queue) == [b"channel_occupied", b"channel_occupied", b"2"]


async def test_without_redis_the_leader_tells_first() -> None:
    # The leader, once woken, would wait for company until the end of the test.
    async with led(LeaderAndItsParts(InMemory().store(), batches=Batches(duration=60_000))) as made:
        await until(lambda: made.delivery.running)
        await made.store.report("a", [occupied("c")])
        await made.leader.relay.put([plain_job("1", "c")])
        await made.queue.attach()
        assert [job.channels for job in (await made.queue.reserve(10)).jobs] == [("c",), ("c",)]
        assert (await made.store.due(1)).transitions == []
