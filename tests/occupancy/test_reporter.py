"""The worker's side of the occupancy store: what it tells, and what it does when the store is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from engine.errors import StoreUnavailable
from engine.interfaces import Answer, Interest, MemberChange, Report
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.occupancy.reporter import Member, Reporter
from tests.support.waiting import PATIENCE_S, until

ANN, BOB = Member("ann", '{"n":1}', "1.1", "data", 2), Member("bob", "", "1.2", "", 2)


class Flaky(MemoryOccupancy):
    """A store that can be taken away, and that counts its calls."""

    def __init__(self, cluster: MemoryState) -> None:
        super().__init__(cluster)
        self.there = True
        self.reports: list[list[Report]] = []

    async def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        await self._look()
        self.reports.append(list(reports))
        return await super().report(incarnation, reports)

    async def heartbeat(self, incarnation: str) -> bool:
        await self._look()
        return await super().heartbeat(incarnation)

    async def join(self, incarnation: str) -> str:
        await self._look()
        return await super().join(incarnation)

    async def _look(self) -> None:
        await asyncio.sleep(0)
        if not self.there:
            raise StoreUnavailable("taken away")


class World:
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
async def reporting(**timing: float) -> AsyncIterator[World]:
    world = World(**timing)
    await world.reporter.start()
    try:
        yield world
    finally:
        world.store.there = True
        await world.reporter.stop()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with reporting() as world:
        yield world


async def test_everything_of_a_turn_is_one_report(world: World) -> None:
    for n in range(50):
        world.reporter.add("app", f"room-{n % 5}", None, None)
    await world.reporter.settled()
    assert len(world.store.reports) == 1
    assert await world.totals() == {f"room-{n}": 10 for n in range(5)}


async def test_coming_and_going_within_a_turn_tells_nothing(world: World) -> None:
    world.reporter.add("app", "room", None, None)
    world.reporter.remove("app", "room", None)
    await world.reporter.settled()
    assert await world.told() == []


async def test_a_member_with_two_connections_leaves_with_the_second(world: World) -> None:
    again = Member("ann", "", "1.9", "", 2)
    answer, refused = await world.added("presence-x", ANN)
    assert (answer.roster, refused) == ({"ann": '{"n":1}'}, False)
    await world.added("presence-x", again)
    world.reporter.remove("app", "presence-x", ANN)
    await world.reporter.settled()
    assert list(await world.store.members("app", "presence-x")) == ["ann"]
    world.reporter.remove("app", "presence-x", again)
    await world.reporter.settled()
    assert [(c.user_id, c.added) for c in world.changes] == [("ann", True), ("ann", False)]
    assert await world.told() == ["channel_occupied", "member_added", "member_removed", "channel_vacated"]


async def test_a_full_presence_channel_refuses_the_newcomer_only(world: World) -> None:
    await world.added("presence-x", ANN)
    await world.added("presence-x", BOB)
    eve = Member("eve", "", "1.3", "", 2)
    _, refused = await world.added("presence-x", eve)
    assert refused
    world.reporter.remove("app", "presence-x", eve)
    await world.reporter.settled()
    assert await world.totals() == {"presence-x": 2}
    assert not (await world.added("presence-x", Member("ann", "", "1.4", "", 2)))[1]


async def test_a_quota_refuses_the_latest_of_a_crowd(world: World) -> None:
    verdicts: list[bool] = []

    def on_answer(answer: Answer, refused: bool) -> None:
        verdicts.append(refused)
        if refused:
            world.reporter.remove("app", "#connections", None)

    for _ in range(10):
        world.reporter.add("app", "#connections", None, on_answer, 7)
    await world.reporter.settled()
    assert sorted(verdicts) == [False] * 7 + [True] * 3
    assert (await world.store.counts("app", ["#connections"]))[0][0] == 7


async def test_an_incarnation_given_up_is_replaced_and_everything_announced(world: World) -> None:
    before = world.reporter.incarnation
    await world.added("room")
    await world.added("presence-x", ANN)
    await world.store.leave(before)
    await world.store.acquire("leader", 1000)
    while await world.store.purge("leader", before, lambda app, channel: Interest(True, True), 10):
        pass
    assert await world.totals() == {}
    await world.added("other")
    await world.reporter.settled()
    assert world.reporter.incarnation != before
    assert await world.totals() == {"room": 1, "presence-x": 1, "other": 1}
    assert list(await world.store.members("app", "presence-x")) == ["ann"]


async def test_without_the_store_it_answers_alone_and_tells_all_later(world: World) -> None:
    await world.added("presence-x", ANN)
    world.store.there = False
    answer, refused = await world.added("presence-x", BOB)
    assert (list(answer.roster or ()), refused) == (["ann", "bob"], False)
    assert world.states == [True, False]
    world.cluster.__init__(world.changes.append, lambda: None)  # type: ignore[misc] # it comes back empty
    world.store.there = True
    await until(lambda: world.states == [True, False, True])
    await world.reporter.settled()
    assert sorted(await world.store.members("app", "presence-x")) == ["ann", "bob"]
    assert await world.totals() == {"presence-x": 2}
    await until(lambda: world.resyncing[-1:] == [False])
    assert world.rosters == [("presence-x", ["ann", "bob"], False), ("presence-x", ["ann", "bob"], True)]


async def test_who_was_let_in_without_the_store_stays_in_beyond_the_limit(world: World) -> None:
    await world.added("presence-x", ANN)
    await world.added("presence-x", BOB)
    world.store.there = False
    eve = Member("eve", "", "1.3", "", 2)
    assert not (await world.added("presence-x", eve))[1]
    for _ in range(2):
        assert not (await world.added("room", None, 1))[1]
    world.store.there = True
    await until(lambda: world.states == [True, False, True])
    await asyncio.wait_for(world.reporter.settled(), PATIENCE_S)
    assert sorted(await world.store.members("app", "presence-x")) == ["ann", "bob", "eve"]
    assert await world.totals() == {"presence-x": 3, "room": 2}
    assert (await world.added("presence-x", Member("zoe", "", "1.4", "", 2)))[1]


async def test_after_trouble_the_totals_of_announced_channels_are_told(world: World) -> None:
    for channel in ("room", "counted", "counted", "presence-x"):
        await world.added(channel, ANN if channel == "presence-x" else None)
    world.reporter.refresh()
    await until(lambda: world.resyncing[-1:] == [False])
    assert world.numbers == [("counted", 2, False), ("counted", 2, True)]
    assert world.rosters == [("presence-x", ["ann"], False), ("presence-x", ["ann"], True)]


async def test_the_reconciler_repairs_what_the_store_has_wrong() -> None:
    async with reporting(reconcile_s=0.05) as world:
        await world.added("room")
        await world.added("presence-x", ANN)
        # Somebody tampers: one fact too few, one too many.
        await world.store.report(world.reporter.incarnation, [Report("app", "room", 0), Report("app", "ghost", 3)])
        await until(lambda: world.reporter.drift >= 2)
        await world.reporter.settled()
        assert await world.totals() == {"room": 1, "presence-x": 1}


async def test_a_heartbeat_notices_that_the_incarnation_is_gone() -> None:
    async with reporting(heartbeat_s=0.02) as world:
        before = world.reporter.incarnation
        await world.added("room")
        await world.store.leave(before)
        await world.store.acquire("leader", 1000)
        while await world.store.purge("leader", before, lambda app, channel: Interest(True, True), 10):
            pass
        await until(lambda: world.reporter.incarnation != before)
        await world.reporter.settled()
        assert await world.totals() == {"room": 1}


async def test_the_reconciler_takes_what_was_given_up_for_no_drift() -> None:
    async with reporting(reconcile_s=0.05) as world:
        before = world.reporter.incarnation
        await world.added("room")
        await world.added("presence-x", ANN)
        await world.store.leave(before)
        await world.store.acquire("leader", 1000)
        # Still being given up: some of it is known, and some is not.
        assert await world.store.purge("leader", before, lambda app, channel: Interest(True, True), 1)
        await until(lambda: world.reporter.incarnation != before)
        await world.reporter.settled()
        assert world.reporter.drift == 0
        while await world.store.purge("leader", before, lambda app, channel: Interest(True, True), 10):
            pass
        assert await world.totals() == {"room": 1, "presence-x": 1}


async def test_a_callback_taken_back_is_not_called(world: World) -> None:
    def never(answer: Answer, refused: bool) -> None:
        pytest.fail("called")

    world.reporter.add("app", "room", None, never)
    world.reporter.remove("app", "room", None, never)
    await world.reporter.settled()
    assert await world.totals() == {}


async def test_stopping_gives_up_what_is_held() -> None:
    world = World()
    await world.reporter.start()
    await world.added("room")
    await world.reporter.stop()
    assert await world.store.expired(60_000) == [world.reporter.incarnation]
