"""What every occupancy driver promises about counts and members (engine.interfaces.OccupancyStore)."""

from __future__ import annotations

from engine.interfaces import Answer, MemberChange, MemberReport, Report
from tests.contract.occupancy import joined, plain, take_all, told, watched
from tests.occupancy.clusters import Cluster, scenario
from tests.occupancy.stores import held


class TestCounting:
    @scenario
    async def test_totals_add_up_over_workers(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        assert await store.report("a", [plain(2)]) == [Answer(2)]
        assert await store.report("b", [plain(1), plain(4, "hall")]) == [Answer(3), Answer(4)]
        assert await store.channels("app") == {"room": 3, "hall": 4}
        assert await store.counts("app", ["room", "nowhere", "hall"]) == [(3, 0), (0, 0), (4, 0)]

    @scenario
    async def test_repeating_a_report_changes_nothing(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        reports = [watched(2, MemberReport("u", 1, "{}")), plain(3)]
        assert await store.report("a", reports) == await store.report("a", reports)
        assert await store.channels("app") == {"presence-x": 2, "room": 3}
        assert await told(store) == [("channel_occupied", ""), ("member_added", "u")]

    @scenario
    async def test_a_channel_nobody_holds_is_gone(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [plain(2)])
        assert await store.report("a", [plain(0)]) == [Answer(0)]
        assert await store.channels("app") == {}
        assert await held(store, "a") == {}

    @scenario
    async def test_reports_of_one_call_are_applied_in_order(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        assert await store.report("a", [plain(2), plain(5), plain(1)]) == [Answer(2), Answer(5), Answer(1)]

    @scenario
    async def test_apps_are_apart(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [Report("app", "room", 1), Report("app2", "room", 2)])
        assert await store.channels("app") == {"room": 1}
        assert await store.channels("app2") == {"room": 2}
        assert await store.channels("app3") == {}

    @scenario
    async def test_prefix_chooses_channels_literally(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        names = ["private-a", "private-b", "privateer", "a_b=c@d,e.f;g:h"]
        await store.report("a", [plain(1, name) for name in names])
        assert set(await store.channels("app", "private-")) == {"private-a", "private-b"}
        assert set(await store.channels("app", "a_b=c@d,e.f;g:")) == {names[3]}
        for pattern in ("*", "?", "[p]", "private*", "\\p"):
            assert await store.channels("app", pattern) == {}

    @scenario
    async def test_many_channels_are_all_listed(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [plain(1, f"c{n}") for n in range(3000)])
        assert len(await store.channels("app")) == 3000
        assert len(await held(store, "a")) == 3000

    @scenario
    async def test_server_owned_channels_are_counted_but_not_listed(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        mine = "#server-to-user-x/y z"
        assert await store.report("a", [plain(2, mine, watched=True)]) == [Answer(2)]
        assert await store.channels("app") == {}
        assert await store.counts("app", [mine]) == [(2, 0)]
        assert await held(store, "a") == {("app", mine, None): 2}
        assert await told(store) == []

    @scenario
    async def test_over_the_limit_nothing_is_applied(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [plain(2, limit=3)])
        [answer] = await store.report("b", [plain(2, limit=3)])
        assert answer == Answer(2, refused=True)
        assert await held(store, "b") == {}
        assert await store.report("b", [plain(1, limit=3)]) == [Answer(3)]
        # Only more can be too many: what is there may stay and shrink.
        assert await store.report("a", [plain(2, limit=1)]) == [Answer(3)]
        assert await store.report("a", [plain(1, limit=1)]) == [Answer(2)]

    @scenario
    async def test_held_tells_subscriptions_and_members(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [plain(2), watched(3, MemberReport("u/1", 2), MemberReport("v", 1))])
        assert await held(store, "a") == {
            ("app", "room", None): 2,
            ("app", "presence-x", None): 3,
            ("app", "presence-x", "u/1"): 2,
            ("app", "presence-x", "v"): 1,
        }
        assert await held(store, "b") == {}


class TestMembers:
    @scenario
    async def test_a_member_is_one_however_many_workers_hold_it(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [watched(2, MemberReport("u", 2, '{"n":1}', "1.1", "data"))])
        await store.report("b", [watched(1, MemberReport("u", 1, '{"n":1}', "2.2", "other", joined=True))])
        assert await store.members("app", "presence-x") == {"u": '{"n":1}'}
        assert await store.counts("app", ["presence-x"]) == [(3, 1)]
        await store.report("a", [watched(0, MemberReport("u", 0, socket_id="1.1"))])
        assert await store.members("app", "presence-x") == {"u": '{"n":1}'}
        await store.report("b", [watched(0, MemberReport("u", 0, socket_id="2.2"))])
        assert await store.members("app", "presence-x") == {}
        changes, _ = await cluster.heard()
        assert [(c.added, c.user_id, c.user_info) for c in changes] == [(True, "u", '{"n":1}'), (False, "u", "")]
        assert changes[0].version < changes[1].version

    @scenario
    async def test_connections_of_a_member_come_and_go_without_a_change(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        for count in (1, 3, 2, 1):
            for name in ("a", "b"):
                await store.report(name, [watched(count, MemberReport("u", count))])
        for name in ("b", "a"):
            await store.report(name, [watched(0, MemberReport("u", 0))])
        changes, _ = await cluster.heard()
        assert [change.added for change in changes] == [True, False]

    @scenario
    async def test_the_latest_subscription_says_who_a_member_is(self, cluster: Cluster) -> None:
        """On whatever worker, and whatever the workers' clocks say; it is no change of members (N-21)."""
        store = await joined(cluster, "a", "b")

        async def reported(worker: str, count: int, info: str, since_us: int, **more: object) -> str:
            member = MemberReport("u", count, info, "1.1", info, 0, since_us, **more)  # type: ignore[arg-type]
            [answer] = await store.report(worker, [watched(count, member, roster=True)])
            assert answer.roster == await store.members("app", "presence-x")
            return answer.roster["u"]

        assert await reported("a", 1, "first", 50, joined=True) == "first"
        assert await reported("b", 1, "second", 40, joined=True) == "second", "its clock is behind"
        assert await reported("a", 2, "third", 60, joined=True) == "third"
        # What is reported again, after whatever trouble, is no news.
        assert await reported("b", 1, "second", 40) == "third"
        assert await reported("a", 1, "first", 50) == "third"
        assert await reported("b", 1, "fourth", 70) == "fourth"
        await store.report("b", [watched(0, MemberReport("u", 0))])
        assert await store.members("app", "presence-x") == {"u": "fourth"}, "as long as the user is a member"
        changes, _ = await cluster.heard()
        assert [(c.added, c.user_info) for c in changes] == [
            (True, info) for info in ("first", "second", "third", "fourth")
        ]
        assert sorted({c.version for c in changes}) == [c.version for c in changes]
        assert await told(store) == [("channel_occupied", ""), ("member_added", "u")]

    @scenario
    async def test_leaving_and_returning_as_another_within_one_report(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [watched(1, MemberReport("u", 1, "old", "1.1", "old data", joined=True), settle_ms=0)])
        back = MemberReport("u", 1, "new", "1.2", "new data", joined=True, left="1.1")
        for _ in range(2):
            await store.report("a", [watched(1, back, settle_ms=0)])
        assert await store.members("app", "presence-x") == {"u": "new"}
        changes, _ = await cluster.heard()
        assert [(c.added, c.user_info) for c in changes] == [(True, "old"), (False, ""), (True, "new")]
        assert [(t.name, t.socket_id, t.data) for t in await take_all(store)][1:] == [
            ("member_added", "1.1", "old data"),
            ("member_removed", "1.1", ""),
            ("member_added", "1.2", "new data"),
        ]
        # Somebody whom another worker holds has not left.
        await store.report("b", [watched(1, MemberReport("u", 1, "new", "2.1", joined=True))])
        await store.report("a", [watched(1, MemberReport("u", 1, "newer", "1.3", joined=True, left="1.2"))])
        changes, _ = await cluster.heard()
        assert [(c.added, c.user_info) for c in changes] == [(True, "newer")]

    @scenario
    async def test_text_survives_as_it_is(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        user, info, data = "ü/\n \x00\"'x", '{"a": "ü \\n \n \x00 1"}', '{"user_id":"ü\n"}'
        [answer] = await store.report("a", [watched(1, MemberReport(user, 1, info, "1.2", data), roster=True)])
        assert answer.roster == {user: info} == await store.members("app", "presence-x")
        assert ("app", "presence-x", user) in await held(store, "a")
        _, added = await take_all(store)
        assert (added.user_id, added.socket_id, added.data) == (user, "1.2", data)
        [change], _ = await cluster.heard()
        assert change == MemberChange("app", "presence-x", added.seq, True, user, info)

    @scenario
    async def test_roster_and_version_belong_together(self, cluster: Cluster) -> None:
        """Who subscribes gets everybody at a version, and every change after it is above that version."""
        store = await joined(cluster, "a", "b")
        [first] = await store.report("a", [watched(1, MemberReport("u", 1, "1"), roster=True)])
        [second] = await store.report("b", [watched(1, MemberReport("v", 1, "2"), roster=True)])
        assert first.roster == {"u": "1"}
        assert second.roster == {"u": "1", "v": "2"}
        changes, _ = await cluster.heard()
        versions = [change.version for change in changes]
        assert versions[0] <= first.version < versions[1] <= second.version
        [again] = await store.report("b", [watched(1, roster=True)])
        assert again.roster == second.roster
        assert again.version >= second.version, "it is as of now, though nothing has changed"

    @scenario
    async def test_no_roster_unless_asked_for(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        [answer] = await store.report("a", [watched(1, MemberReport("u", 1))])
        assert (answer.roster, answer.version) == (None, 0)
        [empty] = await store.report("a", [plain(1, roster=True)])
        assert empty.roster == {}
        assert empty.version > 0

    @scenario
    async def test_member_limit_refuses_new_users_only(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [watched(2, MemberReport("u", 1, limit=2), MemberReport("v", 1, limit=2))])
        known, new = MemberReport("u", 1, limit=2), MemberReport("w", 1, limit=2)
        [answer] = await store.report("b", [watched(2, known, new, roster=True)])
        assert answer.refused_members == ("w",)
        assert not answer.refused
        assert set(answer.roster or ()) == {"u", "v"}
        assert await held(store, "b") == {("app", "presence-x", None): 2, ("app", "presence-x", "u"): 1}
        await store.report("a", [watched(1, MemberReport("v", 0))])
        [answer] = await store.report("b", [watched(2, new)])
        assert answer.refused_members == ()

    @scenario
    async def test_a_swap_in_one_report_makes_room_first(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [watched(1, MemberReport("u", 1, limit=1))])
        [answer] = await store.report("a", [watched(1, MemberReport("u", 0), MemberReport("v", 1, limit=1))])
        assert answer.refused_members == ()
        assert set(await store.members("app", "presence-x")) == {"v"}

    @scenario
    async def test_members_go_with_the_last_subscription(self, cluster: Cluster) -> None:
        """Even when the caller forgets them, or claims them."""
        store = await joined(cluster, "a", "b")
        await store.report("b", [watched(1, MemberReport("v", 1))])
        await store.report("a", [watched(3, MemberReport("u", 1), MemberReport("v", 1), MemberReport("w", 1))])
        await store.report("a", [watched(0, MemberReport("u", 1))])
        assert set(await store.members("app", "presence-x")) == {"v"}
        assert await held(store, "a") == {}

    @scenario
    async def test_changes_are_told_whether_or_not_a_webhook_wants_them(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [plain(1, "presence-y", members=(MemberReport("u", 1, "i"),))])
        changes, wakes = await cluster.heard()
        assert [(c.channel, c.user_id, c.user_info) for c in changes] == [("presence-y", "u", "i")]
        assert wakes == 0
        assert await told(store) == []
