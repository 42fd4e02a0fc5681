"""Delivery when answers of the queue are late, lost or old, or the lease is in doubt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from engine.app import Endpoint
from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Backlog, Job, Reservation
from engine.webhooks.queues.memory import MemoryQueue
from tests.support.waiting import until
from tests.webhooks.delivering import DeliveringApp, Sender, fail_first, numbered


async def test_a_retry_that_comes_due_before_its_parking_was_answered_is_not_lost() -> None:
    """The answer to `retry` is late; the queue gives the job out again meanwhile."""

    class Late(MemoryQueue):
        given_out = 0

        async def retry(self, job: Job, delay_s: float) -> None:
            await super().retry(job, 0)
            await until(lambda: self.given_out >= 2)

        async def reserve(self, limit: int, full: Sequence[str] = ()) -> Reservation:  # type: ignore[override]
            reserved = await super().reserve(limit, full)
            self.given_out += len(reserved.jobs)
            return reserved

    sender = Sender()
    sender.behave = fail_first(1, 1)
    rig = DeliveringApp(Late(), sender)
    delivery = rig.delivery()
    await delivery.start()
    await rig.queue.put([numbered(1)])
    await rig.until_empty()
    await rig.queue.put([numbered(2)])
    await rig.until_empty()
    await delivery.stop()
    assert sender.attempts == [("e1", 1, 1), ("e1", 1, 2), ("e1", 2, 1)]


async def test_nothing_is_sent_while_the_lease_may_be_lost() -> None:
    class Leased(MemoryQueue):
        valid = True

        @property
        def attached(self) -> bool:
            return self.valid

    sender = Sender()
    queue = Leased()
    rig = DeliveringApp(queue, sender)

    async def lose_it(_: Endpoint, __: Job) -> None:
        queue.valid = False

    sender.behave = lose_it
    await queue.put([numbered(n, f"room-{n}") for n in range(10)])
    delivery = rig.delivery(concurrency=5)
    await delivery.start()
    # Five were started in one turn of the loop, but each looks again before it sends.
    await until(lambda: sender.attempts)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(sender.attempts) == 1
    sender.behave = fail_first(0)
    queue.valid = True
    await rig.until_empty()
    await delivery.stop()
    assert sorted(n for _, _, n in sender.delivered) == list(range(10))


def test_a_job_that_is_delivered_while_the_books_are_compared_is_not_sent_again() -> None:
    class Slow(MemoryQueue):
        """Its answer to `attach` is old when it comes."""

        sender: Sender
        compared = 0

        async def attach(self, held: Sequence[Job] = ()) -> Backlog | None:
            backlog = await super().attach(held)
            if held:
                self.compared += 1
                self.sender.behave = fail_first(0)
                release.set()
                await until(lambda: len(self.sender.delivered) == 1)
            return backlog

    release = asyncio.Event()

    async def scenario() -> None:
        sender = Sender()

        async def wait_for_it(_: Endpoint, __: Job) -> None:
            await release.wait()

        sender.behave = wait_for_it
        queue = Slow()
        queue.sender = sender
        rig = DeliveringApp(queue, sender)
        await queue.put([numbered(1)])
        delivery = rig.delivery(reconcile_every_s=0.05)
        await delivery.start()
        await until(lambda: queue.compared)
        await rig.until_empty()
        await rig.queue.put([numbered(2)])
        await until(lambda: len(sender.delivered) >= 2)
        await delivery.stop()
        assert sender.attempts == [("e1", 1, 1), ("e1", 2, 1)]

    asyncio.run(scenario())


async def test_what_is_under_way_ends_when_another_has_taken_over() -> None:
    class Lost(MemoryQueue):
        lost = False

        async def reserve(self, limit: int, full: Sequence[str] = ()) -> Reservation:  # type: ignore[override]
            if self.lost:
                self.lost = False
                raise IncarnationGone("worker")
            return await super().reserve(limit, full)

    sender = Sender()

    async def hang(_: Endpoint, __: Job) -> None:
        await asyncio.sleep(60)

    sender.behave = hang
    queue = Lost()
    rig = DeliveringApp(queue, sender)
    await queue.put([numbered(1)])
    delivery = rig.delivery()
    await delivery.start()
    await until(lambda: sender.under_way == {"e1": 1})
    sender.behave = fail_first(0)
    queue.lost = True
    await rig.until_empty()
    assert sender.under_way == {"e1": 0}
    await delivery.stop()
    assert sender.attempts == [("e1", 1, 1), ("e1", 1, 1)]
    assert sender.numbers("room") == [1]


async def test_a_queue_that_fails_now_and_then_loses_and_repeats_nothing() -> None:
    choose = random.Random(3)

    class Shaky(MemoryQueue):
        async def reserve(self, limit: int, full: Sequence[str] = ()) -> Reservation:  # type: ignore[override]
            self._stumble()
            reserved = await super().reserve(limit, full)
            # A lost answer: the jobs are reserved, and nobody knows.
            self._stumble()
            return reserved

        async def ack(self, job: Job) -> None:
            self._stumble()
            await super().ack(job)
            self._stumble()

        async def retry(self, job: Job, delay_s: float) -> None:
            self._stumble()
            await super().retry(job, delay_s)
            self._stumble()

        def _stumble(self) -> None:
            if choose.random() < 0.2:
                raise StoreUnavailable("stumbled")

    sender = Sender()
    sender.behave = fail_first(1, *range(0, 40, 3))
    rig = DeliveringApp(Shaky(), sender)
    delivery = rig.delivery(lane_jobs=10)
    await delivery.start()
    for n in range(40):
        await rig.queue.put([numbered(n, "a" if n % 2 else "b")])
    await rig.until_empty()
    await delivery.stop()
    assert sender.numbers("b") == list(range(0, 40, 2))
    assert sender.numbers("a") == list(range(1, 40, 2))
