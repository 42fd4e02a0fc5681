"""The leader on Redis: one script queues jobs and forgets their transitions, so it may die wherever it likes."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
import redis.asyncio

from engine.interfaces import Report
from engine.occupancy.redis import RedisOccupancy
from engine.tasks import cancel
from engine.webhooks.job import decode
from engine.webhooks.queues.redis import RedisQueue
from tests.leader.leading import FOREVER_S, LeaderAndItsParts, occupied, until_told
from tests.occupancy.clusters import InRedis
from tests.support.waiting import PATIENCE_S, until
from tests.webhooks.making import Batches


class Dying(redis.asyncio.Redis):
    """A client whose process dies at its n-th script, before or after Redis has run it."""

    die_at = 0
    after = False
    calls = 0
    dead: asyncio.Event

    async def evalsha(self, *args: Any) -> Any:  # type: ignore[override]
        self.calls += 1
        if self.calls < self.die_at:
            return await super().evalsha(*args)
        if self.calls == self.die_at and self.after:
            await super().evalsha(*args)
        self.dead.set()
        await asyncio.Event().wait()


def redis_leader(cluster: InRedis, client: redis.asyncio.Redis, name: str) -> LeaderAndItsParts:
    store = RedisOccupancy(client, f"{cluster.name}-key:", cluster.topic_prefix, FOREVER_S)
    queue = RedisQueue(cluster.client, f"{cluster.name}-queue:", name)
    return LeaderAndItsParts(store, queue, name, batches=Batches(duration=0, size=2))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_leader_that_dies_at_any_script_neither_loses_nor_repeats(redis_url: str, after: bool) -> None:
    async def run(die_at: int) -> bool:
        cluster = InRedis(redis_url)
        client = Dying.from_url(redis_url)
        client.die_at, client.after, client.dead = die_at, after, asyncio.Event()
        store = cluster.store()
        for name in ("a", "b", "dead"):
            await store.join(name)
        await store.report("dead", [occupied(f"c{n}") for n in range(3)])
        await store.leave("dead")
        first, second = redis_leader(cluster, client, "a"), redis_leader(cluster, cluster.client, "b")
        await first.leader.start()

        async def told() -> list[tuple[str, str]]:
            jobs = map(decode, await cluster.client.lrange(f"{cluster.name}-queue:default", 0, -1))
            return [(e["name"], e["channel"]) for job in jobs for e in orjson.loads(job.body)["events"]]

        async def all_told() -> bool:
            return len(await told()) >= 6

        survived = asyncio.create_task(until(all_told))
        died = asyncio.create_task(client.dead.wait())
        try:
            done, _ = await asyncio.wait([survived, died], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            assert done, "neither has all been told nor has the leader died"
            # Ended before its client is closed: whatever it holds of that would be left open.
            await cancel(first.leader._task)
            if client.dead.is_set():
                await store.leave("a")  # as its supervisor does
                await second.leader.start()
                await asyncio.wait_for(survived, PATIENCE_S)
                await second.leader.stop()
            assert (await store.due(10)).transitions == []
            channels = [f"c{n}" for n in range(3)]
            events = await told()
            assert events[:3] == [("channel_occupied", channel) for channel in channels]
            assert sorted(events[3:]) == [("channel_vacated", channel) for channel in channels]
            # All may have been told by the very script after which it died, and be seen before its death.
            return client.calls >= die_at
        finally:
            for task in (survived, died):
                task.cancel()
            await client.aclose()
            await cluster.close()

    # Once without dying, so that Redis knows all scripts and each of them is one call.
    assert not await run(10**6)
    at = 1
    while await run(at):
        at += 1
    # Lease, purge in at least two scripts, due, commit: fewer would mean that this test has lost its subject.
    assert at > 5


async def test_a_leader_that_was_stopped_and_overtaken_tells_nothing(redis_url: str) -> None:
    cluster = InRedis(redis_url)
    store = cluster.store()
    try:
        for name in ("a", "b"):
            await store.join(name)
        stalled, next_one = (redis_leader(cluster, cluster.client, name) for name in ("a", "b"))
        await stalled.leader.start()
        await until(lambda: stalled.leader.leading)
        # While it slept its lease ran out and another one leads; it does not know yet.
        await store.release("a")
        assert await store.acquire("b", 60_000)
        await store.report("a", [occupied("c")])
        stalled.leader.wake()
        await until(lambda: not stalled.leader.leading)
        assert await next_one.depth() == 0
        await next_one.leader.start()
        await until_told(next_one)
        await stalled.leader.stop()
        await next_one.leader.stop()
        assert await next_one.told() == [("channel_occupied", "c")]
    finally:
        await cluster.close()


async def test_the_leader_mends_what_is_wrong_in_redis(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    cluster = InRedis(redis_url)
    try:
        made = redis_leader(cluster, cluster.client, "a")
        await made.store.join("a")
        await made.store.report("a", [Report("app", "room", 2)])
        await cluster.client.hset(cluster.keys.totals("app"), "room", 9)
        await made.leader.start()
        await until(lambda: made.metrics.value("reconciler_drift_total") == 1)
        assert await made.store.channels("app") == {"room": 2}
        await made.leader.stop()
    finally:
        await cluster.close()
    assert "have been mended" in caplog.text
