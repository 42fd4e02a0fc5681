"""Redis loses its data, all of it or what was written lately: what may not have been told, or not be known, is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import redis

from engine._fast.member import Member
from engine.errors import IncarnationGone
from engine.interfaces import Answer, Due, Interest, MemberReport, Report
from engine.occupancy.recent_departures import KEPT_S, RecentDepartures
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.reporter import Phase, Reporter
from tests.occupancy.clusters import InRedis
from tests.occupancy.stores import everything, opened, presence
from tests.support.waiting import PATIENCE_S, until

ROOM = "presence-x"
ANN, BOB = Member("ann", "{}", "1.1", "data of ann"), Member("bob", "{}", "1.2", "data of bob")


class Worker:
    """One worker's reporter over a cluster in Redis."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cluster = cluster = InRedis(url)
        self.store: RedisOccupancy = cluster.store()
        self.reporter = Reporter(
            self.store, everything, lambda _: None, lambda _: None, lambda *_: None, heartbeat_s=0.02
        )

    async def come(self, member: Member) -> bool:
        """Whether it was let in."""
        answered: asyncio.Future[tuple[Answer, bool]] = asyncio.get_running_loop().create_future()
        self.reporter.add("app", ROOM, member, lambda *answer: answered.set_result(answer))
        return not (await asyncio.wait_for(answered, PATIENCE_S))[1]

    async def go(self, member: Member) -> None:
        self.reporter.remove("app", ROOM, member)
        await self.reporter.settled()

    async def told(self) -> list[tuple[str, str, str]]:
        """(name, user, data) of what waits to be told."""
        return [(t.name, t.user_id, t.data) for t in (await self.store.due(1000)).transitions]

    async def lose_everything(self) -> None:
        """In one step, as a server does: between two the worker would announce itself, and that would be lost too."""
        self.fail_over({})

    async def copied(self) -> dict[bytes, bytes]:
        """What a replica has now."""
        keys = [key async for key in self.cluster.client.scan_iter(f"{self.cluster.name}-key:*")]
        return {key: await self.cluster.client.dump(key) for key in keys}

    def fail_over(self, copy: dict[bytes, bytes]) -> None:
        """That replica takes over, before anything else happens here."""
        with redis.Redis.from_url(self.url) as client, client.pipeline(transaction=True) as pipe:
            for key in client.scan_iter(f"{self.cluster.name}-key:*"):
                pipe.delete(key)
            for key, value in copy.items():
                pipe.restore(key, 0, value)
            pipe.execute()


@asynccontextmanager
async def working(url: str) -> AsyncIterator[Worker]:
    worker = Worker(url)
    try:
        await worker.reporter.start()
        yield worker
    finally:
        await worker.reporter.stop()
        await worker.cluster.close()


async def test_who_left_shortly_before_is_told_to_have_left(redis_url: str) -> None:
    async with working(redis_url) as worker:
        await worker.come(ANN)
        await worker.go(ANN)
        await worker.lose_everything()

        async def told() -> bool:
            return bool(await worker.told())

        await until(told)
        assert await worker.told() == [("member_removed", "ann", ""), ("channel_vacated", "", "")]


async def test_who_is_here_is_told_again_and_who_was_replaced_to_have_left(redis_url: str) -> None:
    async with working(redis_url) as worker:
        await worker.come(ANN)
        await worker.come(BOB)
        await worker.go(ANN)
        await worker.lose_everything()

        async def told() -> bool:
            return ("member_removed", "ann", "") in await worker.told()

        await until(told)
        assert await worker.told() == [
            ("channel_occupied", "", ""),
            ("member_added", "bob", "data of bob"),
            ("member_removed", "ann", ""),
        ]


async def test_who_left_a_worker_that_the_replica_never_knew_is_told_to_have_left(redis_url: str) -> None:
    worker = Worker(redis_url)
    await worker.store.join("somebody before")
    copy = await worker.copied()
    try:
        await worker.reporter.start()
        await worker.come(ANN)
        await worker.go(ANN)
        worker.fail_over(copy)

        async def told() -> bool:
            return bool(await worker.told())

        await until(told)
        assert await worker.told() == [("member_removed", "ann", ""), ("channel_vacated", "", "")]
    finally:
        await worker.reporter.stop()
        await worker.cluster.close()


async def test_who_came_back_and_was_refused_after_the_loss_is_told_to_have_left(redis_url: str) -> None:
    worker = Worker(redis_url)
    other, report = worker.cluster.store(), presence(1, MemberReport("bob", 1))
    await other.join("other")
    await other.report("other", [report])
    copy = await worker.copied()
    await other.report("other", [presence(0, MemberReport("bob", 0))])
    try:
        await worker.reporter.start()
        ann = Member("ann", "{}", "1.3", "data of ann", limit=1)
        assert await worker.come(ann)

        def back(answer: Answer, refused: bool) -> None:
            if refused:
                worker.reporter.remove("app", ROOM, ann)

        worker.reporter.remove("app", ROOM, ann)
        worker.reporter.add("app", ROOM, ann, back)
        # Its only place is taken there.
        worker.fail_over(copy)

        async def told() -> bool:
            return ("member_removed", "ann", "") in await worker.told()

        await until(told)
        assert await worker.cluster.store().members("app", ROOM) == {"bob": ""}
    finally:
        await worker.reporter.stop()
        await worker.cluster.close()


@pytest.mark.parametrize("undone", [False, True], ids=["still known", "undone already"])
async def test_a_loss_is_noticed_by_a_worker_that_was_given_up_too(redis_url: str, undone: bool) -> None:
    worker = Worker(redis_url)
    try:
        epoch = await worker.store.join("w")
        await worker.store.report("w", [presence(1, MemberReport("ann", 1))])
        copy = await worker.copied()
        await worker.store.report("w", [presence(0, MemberReport("ann", 0))])
        worker.fail_over(copy)
        await worker.store.leave("w")
        if undone:
            await worker.store.acquire("leader", 60_000)
            while await worker.store.purge("leader", "w", everything, 10):
                pass
        with pytest.raises(IncarnationGone):
            await worker.store.report("w", [presence(1, MemberReport("ann", 1))])
        assert await worker.store.join("w again") != epoch
    finally:
        await worker.cluster.close()


async def test_a_worker_given_up_for_its_silence_finds_no_data_lost(redis_url: str) -> None:
    async with opened(redis_url) as (_, store):
        epoch = await store.join("stalled")
        await store.report("stalled", [presence(1, MemberReport("ann", 1))])
        await store.leave("stalled")
        await store.acquire("leader", 60_000)
        while await store.purge("leader", "stalled", everything, 10):
            pass
        assert not await store.heartbeat("stalled")
        with pytest.raises(IncarnationGone):
            await store.report("stalled", [presence(1, MemberReport("ann", 1))])
        assert await store.join("stalled again") == epoch


async def test_a_reaping_that_was_lost_is_told_to_be_none(redis_url: str) -> None:
    """The leader gives up a worker that only stood still, that is told, and then Redis has never heard of it."""
    async with working(redis_url) as worker:
        stalled = worker.cluster.store()
        await stalled.join("stalled")
        await stalled.report("stalled", [presence(1, MemberReport("ann", 1))])
        copy = await worker.copied()
        await stalled.leave("stalled")
        await worker.store.acquire("leader", 60_000)
        while await worker.store.purge("leader", "stalled", everything, 10, worker.reporter.departed):
            pass

        async def noted() -> bool:
            return await worker.cluster.client.hexists(turns, worker.reporter.incarnation)

        turns = next(key for key in copy if key.endswith(b"turns"))
        await until(noted)
        worker.fail_over(copy)
        assert await stalled.heartbeat("stalled"), "it has missed nothing"
        before = await worker.told()

        async def told() -> bool:
            return len(await worker.told()) > len(before)

        await until(told)
        assert (await worker.told())[len(before) :] == [("channel_occupied", "", ""), ("member_added", "ann", "")]


async def test_current_state_is_emitted_at_once_and_once(redis_url: str) -> None:
    """A departure that settles is told now: what it would be cancelled by may contradict what was told before."""
    async with opened(redis_url) as (_, store):
        await store.report("a", [presence(2, MemberReport("ann", 1), MemberReport("bob", 1))])
        await store.report("a", [presence(1, MemberReport("ann", 0), settle_ms=60_000)])
        before = len((await store.due(10)).transitions)
        both = (MemberReport("ann", 0), MemberReport("bob", 0, data="data of bob"))
        await store.emit_current([Report("app", ROOM, 0, watched=True, members_watched=True, members=both)])
        due = await store.due(10)
        assert [(t.name, t.user_id, t.data) for t in due.transitions[before:]] == [
            ("channel_occupied", "", ""),
            ("member_removed", "ann", ""),
            ("member_added", "bob", "data of bob"),
        ]
        assert due.next_due_in_ms is None
        assert await store.counts("app", [ROOM]) == [(1, 1)], "no fact was changed"


def test_departures_are_forgotten_in_time_but_only_when_told_to() -> None:
    now = [0.0]
    departures = RecentDepartures(lambda: now[0], max_kept=3)

    def kept(interest_of: Callable[[str, str], Interest] = everything) -> list[tuple[str, bool, list[str]]]:
        reports = departures.reports(interest_of, lambda *_: None)
        return [(r.channel, r.watched, [m.user_id for m in r.members if r.members_watched]) for r in reports]

    departures.note(Report("app", "a", 0, watched=True, settle_ms=1000))
    now[0] = 1.0
    members = (MemberReport("u", 0), MemberReport("v", 1))
    departures.note(Report("app", "b", 1, members_watched=True, settle_ms=1000, members=members))
    departures.note(Report("app", "c", 0))
    assert kept() == [("a", True, []), ("b", False, ["u"])]
    now[0] = KEPT_S + 1.0
    assert len(kept()) == 2
    departures.forget_old()
    assert kept() == [("b", False, ["u"])]
    for n in range(5):
        departures.note(Report("app", f"d{n}", 0, watched=True))
    assert [channel for channel, _, _ in kept()] == ["d2", "d3", "d4"]


async def test_what_a_promoted_server_has_waiting_is_told_after_what_was_told_before(redis_url: str) -> None:
    """The old master decided and told more than the new one has heard of: the numbers of a channel still only grow."""
    async with opened(redis_url) as (cluster, store):
        life = cluster.keys.base + "life"
        await store.acquire("a", 60_000)
        assert (await store.due(10)).transitions == []
        ours = await cluster.client.get(life)
        await store.report("a", [presence(1, MemberReport("ann", 1, data="1"), MemberReport("bob", 1, data="2"))])
        await store.report("a", [presence(1, MemberReport("bob", 0), settle_ms=60_000)])
        before = (await store.due(10)).transitions
        # Told last by the old one, whose clock is ahead, and unknown here.
        store._emitted = told = before[-1].seq + 5_000_000
        await cluster.client.set(life, "of the old one")

        due = (await store.due(10)).transitions
        assert [(t.name, t.user_id, t.data) for t in due] == [(t.name, t.user_id, t.data) for t in before]
        assert all(earlier < later for earlier, later in pairwise([told, *(t.seq for t in due)]))
        assert (await store.due(10)).transitions == due, "numbered anew once"
        assert await cluster.client.get(life) == ours
        assert await store.commit("a", due, [])
        # What settles still does, and is cancelled by a return.
        await store.report("a", [presence(1, MemberReport("bob", 1))])
        assert (await store.due(10)) == Due([], None)


async def test_jobs_keep_their_place_behind_what_is_numbered_anew(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        queue = f"{cluster.name}-queue"
        await store.acquire("a", 60_000)
        await store.due(10)
        await store.report("a", [presence(1, MemberReport("ann", 1))])
        await store.push([(queue, b"what ann did")])
        await cluster.client.set(cluster.keys.base + "life", "of the old one")
        due = (await store.due(10)).transitions
        assert await cluster.client.llen(queue) == 0
        assert await store.commit("a", due, [(queue, b"ann came")])
        await store.due(10)
        assert await cluster.client.lrange(queue, 0, -1) == [b"ann came", b"what ann did"]


async def test_a_worker_that_has_lost_nothing_asks_again_when_another_has(redis_url: str) -> None:
    async with working(redis_url) as worker:
        await worker.come(ANN)
        other = worker.cluster.store()
        await other.join("other")
        copy = await worker.copied()
        await other.report("other", [presence(1, MemberReport("bob", 1))])
        worker.fail_over(copy)
        assert not await other.heartbeat("other"), "it is given up, for its report is not known"
        await until(lambda: worker.reporter.phase is Phase.CONVERGING)
