"""What every occupancy driver promises about transitions, the lease and dead workers (OccupancyStore)."""

from __future__ import annotations

import pytest

from engine.errors import IncarnationGone
from engine.interfaces import Answer, MemberReport
from tests.contract.occupancy import LEASE_MS, SETTLE_MS, everything, joined, plain, take_all, told, watched
from tests.occupancy.clusters import Cluster, scenario


class TestTransitions:
    @scenario
    async def test_a_channels_life_is_told_in_order(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [watched(1, MemberReport("u", 1, "i", "1.1", "d"), settle_ms=0)])
        await store.report("a", [watched(0, MemberReport("u", 0, socket_id="1.1"), settle_ms=0)])
        transitions = (await store.due(100)).transitions
        assert [(t.name, t.user_id, t.socket_id, t.data) for t in transitions] == [
            ("channel_occupied", "", "", ""),
            ("member_added", "u", "1.1", "d"),
            ("member_removed", "u", "1.1", ""),
            ("channel_vacated", "", "", ""),
        ]
        assert {(t.app_id, t.channel) for t in transitions} == {("app", "presence-x")}
        seqs = [t.seq for t in transitions]
        assert seqs == sorted(set(seqs))
        assert all(abs(t.time_ms - t.seq // 1000) < 1000 and t.due_ms == t.seq // 1000 for t in transitions)

    @scenario
    async def test_only_what_is_wanted_is_told(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        member = (MemberReport("u", 1),)
        await store.report("a", [plain(1, "presence-1", watched=True, members=member)])
        await store.report("a", [plain(1, "presence-2", members_watched=True, members=member)])
        await store.report("a", [plain(1, "presence-3", members=member)])
        transitions = (await store.due(100)).transitions
        assert [(t.name, t.channel) for t in transitions] == [
            ("channel_occupied", "presence-1"),
            ("member_added", "presence-2"),
        ]

    @scenario
    async def test_a_departure_waits_and_is_told(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [watched(1, MemberReport("u", 1))])
        await take_all(store)
        await store.report("a", [watched(0, MemberReport("u", 0))])
        due = await store.due(100)
        assert due.transitions == []
        assert due.next_due_in_ms is not None
        assert SETTLE_MS - 5_000 < due.next_due_in_ms <= SETTLE_MS
        await cluster.pass_ms(SETTLE_MS)
        gone = await take_all(store)
        assert [t.name for t in gone] == ["member_removed", "channel_vacated"]
        assert gone[0].due_ms >= gone[0].time_ms + SETTLE_MS
        assert (await store.due(100)).next_due_in_ms is None

    @scenario
    async def test_a_return_in_time_is_no_event_at_all(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [watched(1, MemberReport("u", 1))])
        await take_all(store)
        await store.report("a", [watched(0, MemberReport("u", 0))])
        await cluster.pass_ms(SETTLE_MS - 5_000)
        await store.report("b", [watched(1, MemberReport("u", 1))])
        await cluster.pass_ms(SETTLE_MS)
        due = await store.due(100)
        assert (due.transitions, due.next_due_in_ms) == ([], None)

    @scenario
    async def test_a_return_too_late_is_two_events(self, cluster: Cluster) -> None:
        """Also when no leader has told the departure yet: what is told never depends on how busy the leader is."""
        store = await joined(cluster, "a")
        await store.report("a", [watched(1)])
        await store.report("a", [watched(0)])
        await cluster.pass_ms(SETTLE_MS)
        await store.report("a", [watched(1)])
        assert await told(store) == [("channel_occupied", ""), ("channel_vacated", ""), ("channel_occupied", "")]
        await store.report("a", [watched(0)])
        await store.report("a", [watched(1)])
        assert len(await told(store)) == 3

    @scenario
    async def test_another_member_does_not_cancel(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [watched(2, MemberReport("u", 1), MemberReport("w", 1))])
        await take_all(store)
        await store.report("a", [watched(2, MemberReport("u", 0), MemberReport("v", 1))])
        assert await told(store) == [("member_added", "v")]
        await cluster.pass_ms(SETTLE_MS)
        assert await told(store) == [("member_added", "v"), ("member_removed", "u")]

    @scenario
    async def test_without_settling_every_change_is_told(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        for _ in range(3):
            await store.report("a", [watched(1, settle_ms=0)])
            await store.report("a", [watched(0, settle_ms=0)])
        assert await told(store) == [("channel_occupied", ""), ("channel_vacated", "")] * 3

    @scenario
    async def test_due_gives_the_first_so_many(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [plain(1, f"c{n}", watched=True) for n in range(5)])
        first = await store.due(2)
        assert [t.channel for t in first.transitions] == ["c0", "c1"]
        assert first.next_due_in_ms == 0
        everyone = await store.due(5)
        assert [t.channel for t in everyone.transitions] == [f"c{n}" for n in range(5)]
        assert everyone.next_due_in_ms is None

    @scenario
    async def test_the_leader_is_woken_once_a_report(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [plain(1, f"c{n}", watched=True) for n in range(5)])
        assert (await cluster.heard())[1] == 1
        await store.report("a", [plain(2, f"c{n}", watched=True) for n in range(5)])
        assert (await cluster.heard())[1] == 0


class TestCommit:
    @scenario
    async def test_told_transitions_are_gone(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        await store.report("a", [plain(1, "c1", watched=True), plain(1, "c2", watched=True)])
        transitions = (await store.due(1)).transitions
        assert await store.commit("a", transitions, [])
        assert [t.channel for t in (await store.due(10)).transitions] == ["c2"]
        assert not await store.commit("a", transitions, [])

    @scenario
    async def test_only_the_leader_may(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [plain(1, watched=True)])
        transitions = (await store.due(1)).transitions
        assert not await store.commit("a", transitions, [])
        await store.acquire("a", LEASE_MS)
        assert not await store.commit("b", transitions, [])
        assert await store.due(10) == await store.due(10)
        assert len((await store.due(10)).transitions) == 1

    @scenario
    async def test_all_or_none(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        await store.report("a", [plain(1, "c1", watched=True), plain(1, "c2", watched=True)])
        both = (await store.due(10)).transitions
        assert await store.commit("a", both[1:], [])
        assert not await store.commit("a", both, [])
        assert [t.channel for t in (await store.due(10)).transitions] == ["c1"]

    @scenario
    async def test_a_told_departure_does_not_swallow_the_return(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [watched(1, settle_ms=SETTLE_MS)])
        await store.report("a", [watched(0, settle_ms=SETTLE_MS)])
        await cluster.pass_ms(SETTLE_MS)
        assert [t.name for t in await take_all(store)] == ["channel_occupied", "channel_vacated"]
        await store.report("a", [watched(1, settle_ms=SETTLE_MS)])
        assert await told(store) == [("channel_occupied", "")]


class TestLease:
    @scenario
    async def test_one_at_a_time(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        assert await store.acquire("a", LEASE_MS)
        assert not await store.acquire("b", LEASE_MS)
        assert await store.acquire("a", LEASE_MS)
        await store.release("b")
        assert not await store.acquire("b", LEASE_MS)
        await cluster.heard()
        await store.release("a")
        assert (await cluster.heard())[1] == 1
        assert await store.acquire("b", LEASE_MS)

    @scenario
    async def test_who_leaves_is_no_leader(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.acquire("a", LEASE_MS)
        await store.leave("a")
        assert await store.acquire("b", LEASE_MS)


class TestDeath:
    @scenario
    async def test_who_never_joined_cannot_report(self, cluster: Cluster) -> None:
        store = cluster.store()
        with pytest.raises(IncarnationGone):
            await store.report("a", [plain(1)])
        assert not await store.heartbeat("a")
        assert await store.channels("app") == {}

    @scenario
    async def test_who_left_cannot_come_back(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [plain(1)])
        await store.leave("a")
        assert (await cluster.heard())[1] == 1
        with pytest.raises(IncarnationGone):
            await store.report("a", [plain(2)])
        with pytest.raises(IncarnationGone):
            await store.join("a")
        assert not await store.heartbeat("a")
        assert await store.channels("app") == {"room": 1}
        assert await store.expired(10_000) == ["a"]

    @scenario
    async def test_silence_counts_only_while_watched(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        assert await store.expired(4_000) == []
        # A long gap between two looks, in which heartbeats may have been held up as well, condemns nobody.
        cluster.beat_s += 3600
        assert await store.expired(4_000) == []
        for _ in range(2):
            cluster.beat_s += 1
            assert await store.heartbeat("b")
            assert await store.expired(4_000) == []
        cluster.beat_s += 1
        assert await store.heartbeat("b")
        assert await store.expired(4_000) == ["a"]
        assert await store.heartbeat("a")
        assert await store.expired(4_000) == []

    @scenario
    async def test_purge_undoes_what_the_dead_held(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        both, mine = MemberReport("both", 1), MemberReport("mine", 2)
        await store.report("a", [watched(3, both, mine), plain(2), plain(1, "#server-to-user-1")])
        await store.report("b", [watched(1, both), plain(1, "hall")])
        await take_all(store, "b")
        await cluster.heard()
        await store.leave("a")
        slices = 1
        while await store.purge("b", "a", everything, 1):
            slices += 1
        assert slices > 3
        assert await store.expired(10_000) == []
        assert await store.channels("app") == {"presence-x": 1, "hall": 1}
        assert await store.counts("app", ["#server-to-user-1"]) == [(0, 0)]
        assert set(await store.members("app", "presence-x")) == {"both"}
        changes, wakes = await cluster.heard()
        assert [(c.added, c.user_id) for c in changes] == [(False, "mine")]
        assert wakes >= 1
        await cluster.pass_ms(SETTLE_MS)
        assert sorted(await told(store)) == [("channel_vacated", ""), ("member_removed", "mine")]

    @scenario
    async def test_members_go_before_their_channel(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [watched(2, MemberReport("u", 1), MemberReport("v", 1))])
        await take_all(store, "b")
        await store.leave("a")
        while await store.purge("b", "a", everything, 1):
            pass
        await cluster.pass_ms(SETTLE_MS)
        names = [name for name, _ in await told(store)]
        assert names == ["member_removed", "member_removed", "channel_vacated"]

    @scenario
    async def test_a_return_after_death_settles(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [watched(1, MemberReport("u", 1))])
        await take_all(store, "b")
        await store.leave("a")
        while await store.purge("b", "a", everything, 10):
            pass
        await store.report("b", [watched(1, MemberReport("u", 1))])
        await cluster.pass_ms(SETTLE_MS)
        assert await told(store) == []

    @scenario
    async def test_a_purge_is_continued_by_the_next_leader(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b", "c")
        await store.report("a", [plain(1, f"c{n}") for n in range(4)])
        await store.acquire("b", LEASE_MS)
        await store.leave("a")
        assert await store.purge("b", "a", everything, 1)
        await store.leave("b")
        other = cluster.store()
        assert not await other.purge("b", "a", everything, 10)
        assert await other.acquire("c", LEASE_MS)
        assert set(await other.expired(10_000)) == {"a", "b"}
        while await other.purge("c", "a", everything, 1):
            pass
        assert await other.channels("app") == {}

    @scenario
    async def test_reports_are_refused_while_and_after_a_purge(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [plain(1, f"c{n}") for n in range(4)])
        await store.acquire("b", LEASE_MS)
        await store.leave("a")
        assert await store.purge("b", "a", everything, 1)
        for _ in range(2):
            with pytest.raises(IncarnationGone):
                await store.report("a", [plain(1, "new")])
            assert not await store.heartbeat("a")
            while await store.purge("b", "a", everything, 10):
                pass
        assert await store.channels("app") == {}

    @scenario
    async def test_who_is_being_purged_cannot_join_again(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [plain(1, f"c{n}") for n in range(4)])
        await store.acquire("b", LEASE_MS)
        await store.leave("a")
        assert await store.purge("b", "a", everything, 1)
        # It would report beside the purge, which would take that for what the dead had held.
        with pytest.raises(IncarnationGone):
            await store.join("a")
        with pytest.raises(IncarnationGone):
            await store.report("a", [plain(1, "new")])
        while await store.purge("b", "a", everything, 10):
            pass
        assert await store.channels("app") == {}
        assert await store.expired(10_000) == []

    @scenario
    async def test_only_the_leader_purges_and_only_the_dead(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b", "c")
        await store.report("a", [plain(1)])
        await store.acquire("b", LEASE_MS)
        assert not await store.purge("b", "a", everything, 10)
        await store.leave("a")
        assert not await store.purge("c", "a", everything, 10)
        assert await store.channels("app") == {"room": 1}
        assert not await store.purge("b", "nobody", everything, 10)

    @scenario
    async def test_a_heartbeat_after_the_judgement_saves(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [plain(1)])
        await store.acquire("b", LEASE_MS)
        await store.expired(4_000)
        for _ in range(4):
            cluster.beat_s += 1
            await store.heartbeat("b")
            silent = await store.expired(4_000)
        assert silent == ["a"]
        assert await store.heartbeat("a")
        assert not await store.purge("b", "a", everything, 10)
        assert await store.report("a", [plain(2)]) == [Answer(2)]
