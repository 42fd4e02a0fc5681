"""The worker's side of the occupancy store: what it tells, and what it does when the store is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from engine._fast.member import Member
from engine.errors import StoreUnavailable
from engine.interfaces import Answer, Interest, MemberChange, Report
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.occupancy.reporter import MAX_REPORTS, Reporter
from tests.support.waiting import PATIENCE_S, until

ANN, BOB = Member("ann", '{"n":1}', "1.1", "data", 2), Member("bob", "", "1.2", "", 2)


class Flaky(MemoryOccupancy):
    """A store that can be taken away, and that counts its calls."""

    def __init__(self, cluster: MemoryState) -> None:
        super().__init__(cluster)
        self.there = True
        self.reports: list[list[Report]] = []
        self.calls: list[str] = []

    async def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        self.calls.append("report")
        await self._look()
        self.reports.append(list(reports))
        return await super().report(incarnation, reports)

    async def heartbeat(self, incarnation: str) -> bool:
        self.calls.append("heartbeat")
        await self._look()
        return await super().heartbeat(incarnation)

    async def join(self, incarnation: str) -> str:
        await self._look()
        return await super().join(incarnation)

    async def _look(self) -> None:
        await asyncio.sleep(0)
        if not self.there:
            raise StoreUnavailable("taken away")


class ReportingWorker:
    """One worker's reporter over a cluster in memory."""

    def __init__(self, heartbeat_s: float = 60, reconcile_s: float = 60) -> None:
        self.changes: list[MemberChange] = []
        self.cluster = MemoryState(self.changes.append, lambda: None)
        self.store = Flaky(self.cluster)
        self.states: list[bool] = []
        self.resyncing: list[bool] = []
        self.rosters: list[tuple[str, list[str], bool]] = []
        self.numbers: list[tuple[str, int, bool]] = []
        self.reporter = Reporter(
            self.store,
            lambda app, channel: Interest(True, True, announced=channel.startswith("counted")),
            self.states.append,
            self.resyncing.append,
            self._on_roster,
            heartbeat_s,
            reconcile_s,
            converge_s=0.05,
        )

    def _on_roster(self, app_id: str, channel: str, answer: Answer, final: bool) -> None:
        if answer.roster is None:
            self.numbers.append((channel, answer.total, final))
        else:
            self.rosters.append((channel, sorted(answer.roster), final))

    async def added(self, channel: str, member: Member | None = None, limit: int = 0) -> tuple[Answer, bool]:
        future: asyncio.Future[tuple[Answer, bool]] = asyncio.get_running_loop().create_future()
        self.reporter.add("app", channel, member, lambda *answer: future.set_result(answer), limit)
        return await asyncio.wait_for(future, PATIENCE_S)

    async def totals(self) -> dict[str, int]:
        return await self.store.channels("app")

    async def told(self) -> list[str]:
        return [t.name for t in (await self.store.due(1000)).transitions]


@asynccontextmanager
async def reporting(**timing: float) -> AsyncIterator[ReportingWorker]:
    worker = ReportingWorker(**timing)
    await worker.reporter.start()
    try:
        yield worker
    finally:
        worker.store.there = True
        await worker.reporter.stop()


@pytest.fixture
async def worker() -> AsyncIterator[ReportingWorker]:
    async with reporting() as worker:
        yield worker


async def test_everything_of_a_turn_is_one_report(worker: ReportingWorker) -> None:
    for n in range(50):
        worker.reporter.add("app", f"room-{n % 5}", None, None)
    await worker.reporter.settled()
    assert len(worker.store.reports) == 1
    assert await worker.totals() == {f"room-{n}": 10 for n in range(5)}


async def test_the_latest_subscription_says_who_a_member_is(worker: ReportingWorker) -> None:
    first, second = (Member("ann", info, f"1.{n}", info, 0, n) for n, info in enumerate(("old", "new"), 1))
    await worker.added("presence-x", first)
    answer, _ = await worker.added("presence-x", second)
    assert answer.roster == {"ann": "new"}
    worker.reporter.remove("app", "presence-x", second)
    await worker.reporter.settled()
    assert await worker.store.members("app", "presence-x") == {"ann": "new"}
    worker.reporter.refresh()
    await worker.reporter.settled()
    assert await worker.store.members("app", "presence-x") == {"ann": "new"}
    worker.store.there = False
    await until(lambda: worker.states == [True, False])
    answer, _ = await worker.added("presence-x", BOB)
    assert answer.roster == {"ann": "new", "bob": ""}, "nor is it forgotten while the store is away"


async def test_two_subscriptions_of_a_turn_are_one_member_as_the_second_says(worker: ReportingWorker) -> None:
    for n, info in enumerate(("old", "new"), 1):
        worker.reporter.add("app", "presence-x", Member("ann", info, f"1.{n}", info, 0, n), None)
    await worker.reporter.settled()
    assert [(c.added, c.user_info) for c in worker.changes] == [(True, "new")]
    added = (await worker.store.due(10)).transitions[1]
    assert (added.name, added.socket_id, added.data) == ("member_added", "1.2", "new")


@pytest.mark.parametrize("failing", [False, True])
async def test_leaving_and_returning_within_a_turn_loses_nothing(failing: bool) -> None:
    async with reporting(heartbeat_s=0.05 if failing else 60) as worker:
        old, new = (Member("ann", info, f"1.{n}", info, 0, n) for n, info in enumerate(("old", "new"), 1))
        await worker.added("presence-x", old)
        worker.store.there = not failing
        worker.reporter.remove("app", "presence-x", old)
        worker.reporter.add("app", "presence-x", new, None)
        if failing:
            # What was merged into the report that failed is in the next one.
            await until(lambda: worker.states[-1] is False)
            worker.store.there = True
        await worker.reporter.settled()
        changes = [(c.added, c.user_info) for c in worker.changes]
        assert changes == [(True, "old"), (False, ""), (True, "new")]
        names = [(t.name, t.data) for t in (await worker.store.due(10)).transitions]
        assert names[1:] == [("member_added", "old"), ("member_removed", ""), ("member_added", "new")]


async def test_coming_and_going_within_a_turn_tells_nothing(worker: ReportingWorker) -> None:
    worker.reporter.add("app", "room", None, None)
    worker.reporter.remove("app", "room", None)
    await worker.reporter.settled()
    assert await worker.told() == []


async def test_a_member_with_two_connections_leaves_with_the_second(worker: ReportingWorker) -> None:
    again = Member("ann", ANN.user_info, "1.9", "", 2)
    answer, refused = await worker.added("presence-x", ANN)
    assert (answer.roster, refused) == ({"ann": '{"n":1}'}, False)
    await worker.added("presence-x", again)
    worker.reporter.remove("app", "presence-x", ANN)
    await worker.reporter.settled()
    assert list(await worker.store.members("app", "presence-x")) == ["ann"]
    worker.reporter.remove("app", "presence-x", again)
    await worker.reporter.settled()
    assert [(c.user_id, c.added) for c in worker.changes] == [("ann", True), ("ann", False)]
    assert await worker.told() == ["channel_occupied", "member_added", "member_removed", "channel_vacated"]


async def test_a_full_presence_channel_refuses_the_newcomer_only(worker: ReportingWorker) -> None:
    await worker.added("presence-x", ANN)
    await worker.added("presence-x", BOB)
    eve = Member("eve", "", "1.3", "", 2)
    _, refused = await worker.added("presence-x", eve)
    assert refused
    worker.reporter.remove("app", "presence-x", eve)
    await worker.reporter.settled()
    assert await worker.totals() == {"presence-x": 2}
    assert not (await worker.added("presence-x", Member("ann", "", "1.4", "", 2)))[1]


async def test_a_quota_refuses_the_latest_of_a_crowd(worker: ReportingWorker) -> None:
    verdicts: list[bool] = []

    def on_answer(answer: Answer, refused: bool) -> None:
        verdicts.append(refused)
        if refused:
            worker.reporter.remove("app", "#connections", None)

    for _ in range(10):
        worker.reporter.add("app", "#connections", None, on_answer, 7)
    await worker.reporter.settled()
    assert sorted(verdicts) == [False] * 7 + [True] * 3
    assert (await worker.store.counts("app", ["#connections"]))[0][0] == 7


async def test_an_incarnation_given_up_is_replaced_and_everything_announced(worker: ReportingWorker) -> None:
    before = worker.reporter.incarnation
    await worker.added("room")
    await worker.added("presence-x", ANN)
    await worker.store.leave(before)
    await worker.store.acquire("leader", 1000)
    while await worker.store.purge("leader", before, lambda app, channel: Interest(True, True), 10):
        pass
    assert await worker.totals() == {}
    await worker.added("other")
    await worker.reporter.settled()
    assert worker.reporter.incarnation != before
    assert await worker.totals() == {"room": 1, "presence-x": 1, "other": 1}
    assert list(await worker.store.members("app", "presence-x")) == ["ann"]


async def test_without_the_store_it_answers_alone_and_tells_all_later(worker: ReportingWorker) -> None:
    await worker.added("presence-x", ANN)
    worker.store.there = False
    answer, refused = await worker.added("presence-x", BOB)
    assert (list(answer.roster or ()), refused) == (["ann", "bob"], False)
    assert worker.states == [True, False]
    worker.cluster.__init__(worker.changes.append, lambda: None)  # type: ignore[misc] # it comes back empty
    worker.store.there = True
    await until(lambda: worker.states == [True, False, True])
    await worker.reporter.settled()
    assert sorted(await worker.store.members("app", "presence-x")) == ["ann", "bob"]
    assert await worker.totals() == {"presence-x": 2}
    await until(lambda: worker.resyncing[-1:] == [False])
    assert worker.rosters == [("presence-x", ["ann", "bob"], False), ("presence-x", ["ann", "bob"], True)]


async def test_who_was_let_in_without_the_store_stays_in_beyond_the_limit(worker: ReportingWorker) -> None:
    await worker.added("presence-x", ANN)
    await worker.added("presence-x", BOB)
    worker.store.there = False
    eve = Member("eve", "", "1.3", "", 2)
    assert not (await worker.added("presence-x", eve))[1]
    for _ in range(2):
        assert not (await worker.added("room", None, 1))[1]
    worker.store.there = True
    await until(lambda: worker.states == [True, False, True])
    await asyncio.wait_for(worker.reporter.settled(), PATIENCE_S)
    assert sorted(await worker.store.members("app", "presence-x")) == ["ann", "bob", "eve"]
    assert await worker.totals() == {"presence-x": 3, "room": 2}
    assert (await worker.added("presence-x", Member("zoe", "", "1.4", "", 2)))[1]


async def test_after_trouble_the_totals_of_announced_channels_are_told(worker: ReportingWorker) -> None:
    for channel in ("room", "counted", "counted", "presence-x"):
        await worker.added(channel, ANN if channel == "presence-x" else None)
    worker.reporter.refresh()
    await until(lambda: worker.resyncing[-1:] == [False])
    assert worker.numbers == [("counted", 2, False), ("counted", 2, True)]
    assert worker.rosters == [("presence-x", ["ann"], False), ("presence-x", ["ann"], True)]


async def test_the_reconciler_repairs_what_the_store_has_wrong() -> None:
    async with reporting(reconcile_s=0.05) as worker:
        await worker.added("room")
        await worker.added("presence-x", ANN)
        # Somebody tampers: one fact too few, one too many.
        await worker.store.report(worker.reporter.incarnation, [Report("app", "room", 0), Report("app", "ghost", 3)])
        await until(lambda: worker.reporter.drift >= 2)
        await worker.reporter.settled()
        assert await worker.totals() == {"room": 1, "presence-x": 1}


class Slow(Flaky):
    """It tells what it believes in pages of its own, and calls back before each."""

    def __init__(self, cluster: MemoryState) -> None:
        super().__init__(cluster)
        self.pages = 0
        self.before_page: Callable[[int], None] = lambda number: None

    async def held(self, incarnation: str) -> AsyncIterator[dict[tuple[str, str, str | None], int]]:
        async for page in super().held(incarnation):
            for fact, count in page.items():
                self.pages += 1
                self.before_page(self.pages)
                yield {fact: count}


async def test_subscribers_do_not_wait_for_the_reconciler(worker: ReportingWorker) -> None:
    store = worker.reporter._store = worker.store = Slow(worker.cluster)
    for n in range(50):
        await worker.added(f"room-{n}")
    answered_at: list[int] = []

    def before_page(number: int) -> None:
        if number == 10:
            worker.reporter.add("app", "late", None, lambda answer, refused: answered_at.append(store.pages))
            worker.reporter.remove("app", "room-49", None)
            worker.reporter.add("app", "room-0", None, None)

    store.before_page = before_page
    worker.reporter._reconcile_at = 0.0
    await worker.added("begin")
    await until(lambda: worker.reporter._comparison is None and store.pages > 50)
    assert answered_at[0] < 15
    assert worker.reporter.drift == 0, "what changed while it compared was no drift"


async def test_a_join_does_not_wait_for_an_announcement(worker: ReportingWorker) -> None:
    held = 5 * MAX_REPORTS
    for n in range(held):
        worker.reporter.add("app", f"room-{n}", None, None)
    await worker.reporter.settled()
    worker.store.reports.clear()
    worker.reporter.refresh()
    await worker.added("late")
    assert len(worker.store.reports) <= 2
    assert worker.resyncing[-1:] != [False]
    await until(lambda: worker.resyncing[-1:] == [False])
    assert max(len(reports) for reports in worker.store.reports) <= MAX_REPORTS
    # All of it once to be known, and once more for what is final.
    assert sum(len(reports) for reports in worker.store.reports) >= 2 * held


async def test_a_large_announcement_keeps_the_worker_alive() -> None:
    """Heartbeats go between its reports."""
    async with reporting(heartbeat_s=0.0) as worker:
        for n in range(5 * MAX_REPORTS):
            worker.reporter.add("app", f"room-{n}", None, None)
        await worker.reporter.settled()
        worker.store.calls.clear()
        worker.reporter.refresh()
        await until(lambda: worker.resyncing[-1:] == [False])
        assert "reportreport" not in "".join(worker.store.calls)


async def test_a_heartbeat_notices_that_the_incarnation_is_gone() -> None:
    async with reporting(heartbeat_s=0.02) as worker:
        before = worker.reporter.incarnation
        await worker.added("room")
        await worker.store.leave(before)
        await worker.store.acquire("leader", 1000)
        while await worker.store.purge("leader", before, lambda app, channel: Interest(True, True), 10):
            pass
        await until(lambda: worker.reporter.incarnation != before)
        await worker.reporter.settled()
        assert await worker.totals() == {"room": 1}


async def test_the_reconciler_takes_what_was_given_up_for_no_drift() -> None:
    async with reporting(reconcile_s=0.05) as worker:
        before = worker.reporter.incarnation
        await worker.added("room")
        await worker.added("presence-x", ANN)
        await worker.store.leave(before)
        await worker.store.acquire("leader", 1000)
        # Still being given up: some of it is known, and some is not.
        assert await worker.store.purge("leader", before, lambda app, channel: Interest(True, True), 1)
        await until(lambda: worker.reporter.incarnation != before)
        await worker.reporter.settled()
        assert worker.reporter.drift == 0
        while await worker.store.purge("leader", before, lambda app, channel: Interest(True, True), 10):
            pass
        assert await worker.totals() == {"room": 1, "presence-x": 1}


async def test_a_callback_taken_back_is_not_called(worker: ReportingWorker) -> None:
    def never(answer: Answer, refused: bool) -> None:
        pytest.fail("called")

    worker.reporter.add("app", "room", None, never)
    worker.reporter.remove("app", "room", None, never)
    await worker.reporter.settled()
    assert await worker.totals() == {}


async def test_stopping_gives_up_what_is_held() -> None:
    worker = ReportingWorker()
    await worker.reporter.start()
    await worker.added("room")
    await worker.reporter.stop()
    assert await worker.store.expired(60_000) == [worker.reporter.incarnation]


async def test_a_member_is_counted_once_in_each_channel() -> None:
    async with reporting() as worker:
        second = Member("ann", "", "1.9", "", 2)
        for channel, member in (("one", ANN), ("one", second), ("one", BOB), ("two", ANN), ("three", None)):
            await worker.added(channel, member)
        assert worker.reporter.present("app") == 3
        worker.reporter.remove("app", "one", ANN)
        assert worker.reporter.present("app") == 3
        worker.reporter.remove("app", "one", second)
        worker.reporter.remove("app", "one", BOB)
        assert worker.reporter.present("app") == 1
