"""The leader: transitions become jobs once, dead workers are reaped, leadership moves on, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

import pytest

from engine.app_manager import AppManager
from engine.errors import StoreUnavailable
from engine.interfaces import Due, MemberReport, Report
from engine.leader.leader import Leader
from engine.occupancy.memory import MemoryOccupancy
from tests.leader.leading import LeaderAndItsParts, led, occupied, until_told
from tests.occupancy.clusters import InMemory
from tests.support.waiting import PATIENCE_S, until
from tests.webhooks.making import Batches, make_app, make_endpoint


def in_memory() -> tuple[InMemory, list[Leader]]:
    """A cluster that wakes the leaders in the list, as the adapter does in production."""
    cluster, leaders = InMemory(), []
    cluster.cluster._on_wake = lambda: [leader.wake() for leader in leaders]  # type: ignore[assignment]
    return cluster, leaders


async def test_transitions_become_jobs_in_order() -> None:
    cluster, leaders = in_memory()
    async with led(LeaderAndItsParts(cluster.store())) as made:
        leaders.append(made.leader)
        await until(lambda: made.delivery.running)
        await made.store.report("a", [occupied("c1"), occupied("c2")])
        await made.store.report("a", [occupied("c1", 0)])
        await until_told(made)
        told = await made.told()
        assert told == [("channel_occupied", "c1"), ("channel_occupied", "c2"), ("channel_vacated", "c1")]
        assert (await made.store.due(1)).transitions == []
        assert made.metrics.value("leader_changes_total") == 1
        assert made.metrics.value("webhook_events_total", "app", "e1", "channel_occupied") == 2


async def test_what_settles_is_told_when_it_is_due_without_a_wake() -> None:
    cluster, leaders = in_memory()
    async with led(LeaderAndItsParts(cluster.store())) as made:
        await made.store.report("a", [occupied("c"), occupied("c", 0, settle_ms=150)])
        leaders.append(made.leader)
        made.leader.wake()
        await until_told(made)
        assert await made.told() == [("channel_occupied", "c")]
        # The cluster's clock ticks once a look; the leader must have planned its next look by what it was told.
        cluster.now_us += 150_000
        await until_told(made)
        assert await made.told() == [("channel_vacated", "c")]


def test_events_of_one_moment_share_a_request_if_batching_is_on() -> None:
    async def run(batches: Batches, requests: int) -> None:
        cluster, leaders = in_memory()
        async with led(LeaderAndItsParts(cluster.store(), batches=batches)) as made:
            leaders.append(made.leader)
            await until(lambda: made.leader.leading)
            for n in range(3):
                await made.store.report("a", [occupied(f"c{n}")])
                await asyncio.sleep(0)
            await until_told(made, requests)
            assert await made.depth() == requests

    asyncio.run(run(Batches(duration=50), 1))
    asyncio.run(run(Batches(duration=50, size=2), 2))
    asyncio.run(run(Batches(enabled=False), 3))


async def test_a_transition_of_an_unknown_app_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    cluster, _ = in_memory()
    await cluster.store().join("a")
    await cluster.store().report("a", [occupied("c", app_id="gone"), occupied("c")])
    async with led(LeaderAndItsParts(cluster.store())) as made:
        await until_told(made)
        assert await made.told() == [("channel_occupied", "c")]
        assert (await made.store.due(1)).transitions == []
        assert made.metrics.value("webhook_events_dropped_total", "", "") == 1
    assert "'gone'" in caplog.text


async def test_an_app_that_another_worker_has_heard_of_first_is_waited_for() -> None:
    apps = AppManager()
    asked: list[list[str]] = []

    async def catch_up(names: Collection[str]) -> None:
        asked.append([*names])
        apps.replace([make_app(make_endpoint(), app_id="app")])

    cluster, _ = in_memory()
    await cluster.store().join("a")
    await cluster.store().report("a", [occupied("c")])
    async with led(LeaderAndItsParts(cluster.store(), apps=apps, catch_up=catch_up)) as made:
        await until_told(made)
        assert await made.told() == [("channel_occupied", "c")]
    assert asked == [["app"]]


async def test_one_leads_and_the_next_takes_over_at_once() -> None:
    cluster, leaders = in_memory()
    first, second = LeaderAndItsParts(cluster.store()), LeaderAndItsParts(cluster.store(), name="b")
    leaders += [first.leader, second.leader]
    async with led(second), led(first):
        await until(lambda: first.delivery.running or second.delivery.running)
        one, other = (first, second) if first.leader.leading else (second, first)
        other.leader.wake()
        await asyncio.sleep(0.05)
        assert not other.leader.leading
        assert not other.delivery.running
        await one.leader.stop()
        assert not one.delivery.running
        await until(lambda: other.delivery.running)


async def test_stopping_tells_what_is_due() -> None:
    cluster, _ = in_memory()
    async with led(LeaderAndItsParts(cluster.store())) as made:
        await until(lambda: made.leader.leading)
        await made.store.report("a", [occupied("c")])
    assert await made.told() == [("channel_occupied", "c")]


async def test_a_dead_worker_is_reaped_and_its_channels_told() -> None:
    cluster, leaders = in_memory()
    async with led(LeaderAndItsParts(cluster.store())) as made:
        leaders.append(made.leader)
        await made.store.join("dead")
        member = MemberReport("u", 1, socket_id="1.1")
        many = [occupied(f"c{n:03}") for n in range(500)]
        full = Report("app", "presence-x", 1, watched=True, members_watched=True, members=(member,))
        await made.store.report("dead", [*many, full])
        await until(lambda: made.leader.leading)
        await made.store.leave("dead")
        await until(lambda: made.metrics.value("purged_workers_total") == 1)
        assert made.delivery.died == ["dead"]
        assert await made.store.channels("app") == {}
        assert await made.store.expired(10**9) == []
    told = await made.told()
    assert sorted(told[502:]) == sorted(
        [("channel_vacated", f"c{n:03}") for n in range(500)]
        + [("member_removed", "presence-x"), ("channel_vacated", "presence-x")]
    )


async def test_a_silent_worker_is_reaped_but_never_the_leader_itself() -> None:
    cluster, leaders = in_memory()
    async with led(LeaderAndItsParts(cluster.store(), node_timeout_ms=40, look_every_s=0.01)) as made:
        leaders.append(made.leader)
        await made.store.join("alive")
        await made.store.join("silent")
        await made.store.report("silent", [occupied("c")])
        await made.store.report("alive", [occupied("d")])
        await made.store.report("a", [occupied("e")])
        async with asyncio.timeout(PATIENCE_S):
            while len(await made.store.channels("app")) > 2:
                cluster.beat_s += 0.01
                await made.store.heartbeat("alive")
                made.leader.wake()
                await asyncio.sleep(0.005)
        assert await made.store.channels("app") == {"d": 1, "e": 1}
        assert made.delivery.died == ["silent"]
        assert made.leader.leading


class Failing(MemoryOccupancy):
    """Fails on demand."""

    broken = False
    asked = 0

    async def acquire(self, incarnation: str, ttl_ms: int) -> bool:
        self.asked += 1
        if self.broken:
            raise StoreUnavailable("gone fishing")
        return await super().acquire(incarnation, ttl_ms)


async def test_a_lost_store_is_logged_once_and_deposes_when_the_lease_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cluster, _ = in_memory()
    store = Failing(cluster.cluster)
    async with led(LeaderAndItsParts(store, look_every_s=0.01, lease_ms=1_000)) as made:
        await until(lambda: made.leader.leading)
        store.broken, asked = True, store.asked
        await until(lambda: store.asked > asked + 1)
        assert made.delivery.running, "nobody else can lead yet: delivery goes on"
        await until(lambda: not made.delivery.running)
        asked = store.asked
        await until(lambda: store.asked > asked + 5)
        assert len([r for r in caplog.records if "gone fishing" in r.message]) == 1
        store.broken = False
        await until(lambda: made.delivery.running)
        assert [r.message for r in caplog.records].count("shared state answers again") == 1


async def test_a_new_incarnation_leads_on() -> None:
    cluster, leaders = in_memory()
    async with led(LeaderAndItsParts(cluster.store())) as made:
        leaders.append(made.leader)
        await until(lambda: made.leader.leading)
        made.name = "a2"
        await made.store.join("a2")
        made.leader.wake()
        await until(lambda: cluster.cluster.leads("a2"))
        await made.store.report("a2", [occupied("c")])
        await until_told(made)


class Forgetting(MemoryOccupancy):
    """Takes the first commit back, as when the lease is lost between the put and the commit."""

    commits = 0

    async def commit(self, leader: str, told: Any, jobs: Any, kept: Any = ()) -> bool:
        self.commits += 1
        return self.commits > 1 and await super().commit(leader, told, jobs, kept)


async def test_a_repeated_put_carries_the_same_id() -> None:
    cluster, leaders = in_memory()
    async with led(LeaderAndItsParts(Forgetting(cluster.cluster))) as made:
        leaders.append(made.leader)
        await made.store.report("a", [occupied("c1"), occupied("c2")])
        await until_told(made, 2)
        await until(lambda: made.store.commits == 2)  # type: ignore[attr-defined]
        await made.queue.attach()
        ids = [job.id for job in (await made.queue.reserve(10)).jobs]
        assert len(ids) == 2
        assert len(set(ids)) == 1
        await made.store.report("a", [occupied("c3")])
        await until_told(made, 3)
        [other] = (await made.queue.reserve(10)).jobs
        assert other.id not in ids


class Interrupting(MemoryOccupancy):
    """Something happens just after the leader has looked."""

    interrupt: Callable[[], None] | None = None

    async def due(self, limit: int) -> Due:
        due = await super().due(limit)
        if self.interrupt is not None and not due.transitions:
            interrupt, self.interrupt = self.interrupt, None
            interrupt()
        return due


async def test_a_wake_during_a_look_is_not_lost() -> None:
    cluster, leaders = in_memory()
    store = Interrupting(cluster.cluster)
    store.interrupt = lambda: cluster.cluster.report("a", [occupied("c")]) and None
    made = LeaderAndItsParts(store)
    leaders.append(made.leader)
    async with led(made):
        await until_told(made)
