"""Delivery when the leader or Redis fails: order and at-least-once hold, and hands may take things out."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from engine.app import Endpoint, RetryPolicy
from engine.errors import DeliveryError
from engine.interfaces import Backlog, Job, WebhookQueue
from engine.tasks import cancel
from engine.webhooks.delivery.consumer import Delivery
from engine.webhooks.queues.redis import RedisQueue
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until
from tests.webhooks.delivering import DeliveringApp, Sender, endpoint, fail_first, numbered

LEASE_S = 0.3


class Cluster:
    """Several consumers of one queue, as several workers would be."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.prefix = f"{uuid4().hex}:"
        self.sender = Sender()

    def queue(self, name: str) -> RedisQueue:
        return RedisQueue(self.client, self.prefix, name, lease_s=LEASE_S, timeout_s=0.5)

    def rig(self, name: str, *endpoints: Endpoint) -> DeliveringApp:
        return DeliveringApp(self.queue(name), self.sender, *endpoints)


@asynccontextmanager
async def cluster(url: str) -> AsyncIterator[Cluster]:
    client = Redis.from_url(url)
    try:
        yield Cluster(client)
    finally:
        await client.aclose()


async def crash(delivery: Delivery) -> None:
    """End it as SIGKILL would: nothing is given back."""
    # More than once, where that is needed: what redis-py waits in may swallow a cancellation.
    await asyncio.gather(*(cancel(task, 5) for task in (delivery._task, *delivery._lanes._sends)))


async def delayed(queue: WebhookQueue) -> int:
    return (await queue.depth())["delayed"]


def without_repeats(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


async def test_order_survives_leaders_that_crash(redis_url: str) -> None:
    choose = random.Random(11)
    async with cluster(redis_url) as c:

        async def stumble(_: Endpoint, job: Job) -> None:
            await asyncio.sleep(choose.choice((0, 0.002)))
            if job.attempt < 2 and choose.random() < 0.4:
                raise DeliveryError("status 503")

        c.sender.behave = stumble
        sent: list[Job] = []
        for n in range(240):
            sent.append(numbered(n, *choose.sample("abcde", choose.randint(1, 2))))
        for at in range(0, len(sent), 60):
            rig = c.rig(f"worker-{at}")
            delivery = rig.delivery(lane_jobs=8)
            await delivery.start()
            await rig.queue.put(sent[at : at + 60])
            before = len(c.sender.attempts)
            await until(lambda before=before: len(c.sender.attempts) > before + 10)  # type: ignore[misc]
            await crash(delivery)
        rig = c.rig("last")
        delivery = rig.delivery(lane_jobs=8)
        await delivery.start()
        await rig.until_empty()
        await delivery.stop()
        for channel in "abcde":
            expected = [
                event["time_ms"]
                for job in sent
                for event in json.loads(job.body)["events"]
                if event["channel"] == channel
            ]
            assert without_repeats(c.sender.numbers(channel)) == expected
        # Only what was under way in a crash may come twice, and there is no more of that than slots.
        assert len(c.sender.delivered) - len(set(c.sender.delivered)) <= 4 * 5 * 2


async def test_a_new_leader_keeps_the_channels_of_delayed_retries_blocked(redis_url: str) -> None:
    async with cluster(redis_url) as c:
        c.sender.behave = fail_first(1, 1)
        patient = endpoint(retry=RetryPolicy(delays_s=(1.0,), jitter=0))
        first = c.rig("first", patient)
        delivery = first.delivery()
        await delivery.start()
        await first.queue.put([numbered(1, "a")])
        await until(lambda: c.sender.attempts)
        await asyncio.sleep(0)
        await until(lambda: delayed(first.queue))
        await crash(delivery)
        second = c.rig("second", patient)
        await second.queue.put([numbered(2, "a"), numbered(3, "b")])
        delivery = second.delivery()
        await delivery.start()
        await second.until_empty()
        await delivery.stop()
        assert c.sender.delivered == [("e1", "b", 3), ("e1", "a", 1), ("e1", "a", 2)]
        assert c.sender.attempts == [("e1", 1, 1), ("e1", 3, 1), ("e1", 1, 2), ("e1", 2, 1)]


async def test_a_dead_leader_that_was_reported_is_not_waited_for(redis_url: str) -> None:
    async with cluster(redis_url) as c:
        dead = RedisQueue(c.client, c.prefix, "dead", lease_s=60)
        await dead.attach()
        rig = c.rig("heir")
        await rig.queue.put([numbered(1)])
        delivery = rig.delivery()
        await delivery.start()
        await asyncio.sleep(0.05)
        assert c.sender.attempts == []
        await delivery.worker_died("dead")
        await rig.until_empty()
        await delivery.stop()
        assert c.sender.numbers("room") == [1]


async def test_a_leader_that_was_only_asleep_sends_nothing_and_joins_again(redis_url: str) -> None:
    async with cluster(redis_url) as c:
        c.sender.behave = fail_first(1, 1)
        sleeper = c.rig("sleeper", endpoint(retry=RetryPolicy(delays_s=(0.05,), jitter=0)))
        asleep = asyncio.Event()

        class Sleepy(RedisQueue):
            """Its calls hang while the process would be stopped, and its clock has moved on afterwards."""

            async def _run(self, *args: Any) -> Any:
                if asleep.is_set():
                    await asyncio.sleep(2 * LEASE_S)
                return await super()._run(*args)

        queue = Sleepy(c.client, c.prefix, "sleeper", lease_s=LEASE_S)
        delivery = sleeper.delivery(queue)
        await delivery.start()
        await queue.put([numbered(1, "a"), numbered(2, "a"), numbered(3, "a")])
        await until(lambda: c.sender.attempts)
        asleep.set()
        heir = c.rig("heir")
        other = heir.delivery()
        await other.start()
        await until(lambda: c.sender.numbers("a") == [1, 2, 3])
        asleep.clear()
        # Once the heir is gone, the sleeper is the consumer again.
        await other.stop()
        await queue.put([numbered(4, "a")])
        await until(lambda: c.sender.numbers("a") == [1, 2, 3, 4])
        await delivery.stop()


async def test_a_redis_that_stalls_or_loses_everything_stops_nothing_for_good() -> None:
    with ValkeyServer() as server:
        async with cluster(server.url) as c:
            hold = asyncio.Event()

            async def wait_for_it(_: Endpoint, job: Job) -> None:
                await hold.wait()

            c.sender.behave = wait_for_it
            rig = c.rig("one")
            delivery = rig.delivery()
            await delivery.start()
            await rig.queue.put([numbered(n, "a") for n in range(5)])
            await until(lambda: c.sender.attempts)
            # Everything is in memory now, and in a Redis that forgets it.
            server.kill()
            server.start()
            await asyncio.sleep(0.6)
            hold.set()
            await until(lambda: without_repeats(c.sender.numbers("a")) == [0, 1, 2, 3, 4])
            server.pause()
            await asyncio.sleep(LEASE_S)
            server.resume()
            await rig.queue.put([numbered(5, "a")])
            await until(lambda: without_repeats(c.sender.numbers("a")) == [0, 1, 2, 3, 4, 5])
            await rig.until_empty()
            await delivery.stop()
            assert c.sender.numbers("a") == [0, 1, 2, 3, 4, 5]


async def test_retries_taken_out_by_hand_hold_nothing_back_for_ever(redis_url: str) -> None:
    async with cluster(redis_url) as c:
        c.sender.behave = fail_first(1, 1)
        rig = c.rig("one", endpoint(retry=RetryPolicy(delays_s=(600.0,), jitter=0)))
        delivery = rig.delivery(reconcile_every_s=0.1)
        await delivery.start()
        await rig.queue.put([numbered(1, "a"), numbered(2, "a")])
        await until(lambda: delayed(rig.queue))
        await c.client.delete(c.prefix + "delayed")
        await until(lambda: c.sender.numbers("a") == [2])
        await delivery.stop()


class Promoted(RedisQueue):
    """Its server is replaced, as the consumer joins again, by one that lacks what the last one did lately: all that was
    given out waits there as at the start."""

    replaced_by: Sequence[bytes] = ()

    async def attach(self, in_flight: Sequence[Job] = ()) -> Backlog | None:
        if self.replaced_by:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.delete(self._prefix + "delayed", f"{self._prefix}in_flight:{self._me}")
                pipe.rpush(self._prefix + "default", *self.replaced_by)
                await pipe.execute()
            self.replaced_by = ()
        return await super().attach(in_flight)


async def test_nothing_passes_a_retry_of_which_a_new_master_does_not_know(redis_url: str) -> None:
    async with cluster(redis_url) as c:
        failed = asyncio.Event()

        async def fail_once(_: Endpoint, job: Job) -> None:
            if not failed.is_set():
                failed.set()
                raise DeliveryError("status 500")

        c.sender.behave = fail_once
        queue = Promoted(c.client, c.prefix, "one", timeout_s=0.5)
        rig = DeliveringApp(queue, c.sender, endpoint(retry=RetryPolicy(delays_s=(600.0,), jitter=0)))
        await queue.put([numbered(n, "a") for n in (1, 2, 3)])
        given_out = await c.client.lrange(c.prefix + "default", 0, -1)
        delivery = rig.delivery(reconcile_every_s=0.05)
        await delivery.start()
        await until(lambda: delayed(queue))
        queue.replaced_by = given_out
        await until(lambda: len(c.sender.numbers("a")) == 3)
        assert c.sender.numbers("a") == [1, 2, 3]
        await rig.until_empty()
        await delivery.stop()


async def test_dead_letters_are_requeued_by_hand_as_the_documentation_says(redis_url: str) -> None:
    async with cluster(redis_url) as c:
        c.sender.behave = fail_first(99, 1, 2)
        rig = c.rig("one")
        delivery = rig.delivery()
        await delivery.start()
        await rig.queue.put([numbered(1, "a"), numbered(2, "b")])
        await rig.until_empty()
        assert await c.client.llen(c.prefix + "failed") == 2
        c.sender.behave = fail_first(0)
        for _ in range(2):
            await c.client.rpoplpush(c.prefix + "failed", c.prefix + "default")
        await until(lambda: len(c.sender.delivered) == 2)
        assert [attempt for _, _, attempt in c.sender.attempts[-2:]] == [1, 1]
        await rig.until_empty()
        await delivery.stop()
        assert await c.client.keys(c.prefix + "*") == []
