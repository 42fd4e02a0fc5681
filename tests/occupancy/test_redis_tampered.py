"""Redis loses things, and others write to it: nothing breaks, and it is brought back to the truth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import IncarnationGone
from engine.interfaces import MemberReport, Report
from engine.occupancy.redis import RedisOccupancy
from tests.occupancy.stores import everything, held, opened, presence

SETTLE_MS = 30_000
GARBAGE = [b"", b"x", b"\xff\xfe", b"/", b"a/", b"/b", b"a/b/", b"//"]


async def test_garbage_in_redis_is_left_out(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        keys, client = cluster.keys, cluster.client
        await store.report("a", [presence(2, MemberReport("u", 1, "i"))])
        for field in GARBAGE:
            await client.hset(keys.worker("a"), field, field)
            await client.hset(keys.worker_members("a"), field, field)
            await client.hset(keys.totals("app"), field, field)
            await client.hset(keys.members("app", "presence-x"), field, field)
            await client.zadd(keys.transitions, {field: 0, b"0" * 16 + field: 0})
        for entry in (
            b"[]",
            b'["channel_occupied","a","b","c","","",""]',
            b'["what","a","b",1,"","",""]',
            b"[1,2,3,4,5,6,7]",
        ):
            await client.zadd(keys.transitions, {b"0" * 16 + entry: 0})
        await client.hset(keys.totals("app"), "room", "-7")
        assert await store.channels("app") == {"presence-x": 2}
        assert await store.members("app", "presence-x") == {"u": "i"}
        assert await held(store, "a") == {("app", "presence-x", None): 2, ("app", "presence-x", "u"): 1}
        # The unreadable ones stood first in line; they are taken out, not only passed over.
        for _ in range(20):
            due = await store.due(2)
        assert [t.name for t in due.transitions] == ["channel_occupied", "member_added"]
        [answer] = await store.report("a", [Report("app", "presence-x", 2, roster=True)])
        assert answer.roster == {"u": "i"}
        assert cluster.metrics.value("occupancy_malformed_entries_total") > 20
        await store.leave("a")
        await store.join("b")
        await store.acquire("b", 60_000)
        slices = 0
        while await store.purge("b", "a", everything, 3):
            slices += 1
            assert slices < 50
        assert await held(store, "a") == {}
        assert await store.counts("app", ["presence-x"]) == [(0, 0)]


@pytest.mark.parametrize(
    "name",
    [
        "channels:app",
        "members:app/presence-x",
        "worker:a",
        "worker-members:a",
        "transitions",
        "pending",
        "after_transitions",
        "clock",
        "lease",
    ],
)
async def test_a_key_overwritten_with_another_type_starts_anew(redis_url: str, name: str) -> None:
    async with opened(redis_url) as (cluster, store):
        full = presence(1, MemberReport("u", 1, "i"), settle_ms=SETTLE_MS)
        await store.report("a", [full])
        await store.report("a", [presence(0, settle_ms=SETTLE_MS)])
        await cluster.client.delete(cluster.keys.base + name)
        await cluster.client.execute_command(
            *(("SADD",) if name in ("clock", "lease") else ("SET",)), cluster.keys.base + name, "x"
        )
        await store.acquire("a", 10_000)
        await store.report("a", [full])
        await store.report("a", [full])
        assert await store.channels("app") == {"presence-x": 1}
        assert await store.members("app", "presence-x") == {"u": "i"}
        await store.due(10)
        await store.push([(f"{cluster.name}-queue", b"1")])


async def test_a_worker_whose_answered_report_is_unknown_is_given_up_and_the_epoch_ends(redis_url: str) -> None:
    """As after a fail-over to a replica that had not heard of it."""
    async with opened(redis_url) as (cluster, store):
        epoch = await store.join("a")
        await store.report("a", [presence(1, MemberReport("u", 1, "i"))])
        assert await store.heartbeat("a")
        await cluster.client.hincrby(cluster.keys.base + "turns", "a", -1)
        with pytest.raises(IncarnationGone):
            await store.report("a", [presence(0)])
        assert await store.members("app", "presence-x") == {"u": "i"}, "until the leader has undone it"
        assert not await store.heartbeat("a")
        assert await store.join("a2") not in ("", epoch)


async def test_reporting_again_mends_what_is_too_low(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        full = presence(3, MemberReport("u", 1, "i"))
        await store.report("a", [full])
        await cluster.client.delete(cluster.keys.totals("app"), cluster.keys.members("app", "presence-x"))
        await store.report("a", [full])
        assert await store.counts("app", ["presence-x"]) == [(3, 1)]


async def test_members_that_nobody_holds_go_when_the_channel_is_vacated(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        await store.report("a", [presence(1, MemberReport("u", 1, "i"))])
        await cluster.client.hset(cluster.keys.members("app", "presence-x"), "ghost", "5 i")
        await store.report("a", [presence(0, MemberReport("u", 0))])
        assert await store.members("app", "presence-x") == {}
        changes, _ = await cluster.heard()
        assert [(c.added, c.user_id) for c in changes] == [(True, "u"), (False, "u"), (False, "ghost")]


TAMPERING: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
    "nothing": lambda client, base: client.ping(),
    "total too high": lambda client, base: client.hset(base + "channels:app", "presence-x", 99),
    "total too low": lambda client, base: client.hset(base + "channels:app", "presence-x", 1),
    "total is no number": lambda client, base: client.hset(base + "channels:app", "presence-x", "x"),
    "total of nothing": lambda client, base: client.hset(base + "channels:app", "nowhere", 3),
    "total zero": lambda client, base: client.hset(base + "channels:app", "nowhere", 0),
    "totals lost": lambda client, base: client.delete(base + "channels:app"),
    "total of a user lost": lambda client, base: client.delete(base + "internal:app"),
    "total of a user too high": lambda client, base: client.hset(base + "internal:app", "#server-to-user-1", 9),
    "members lost": lambda client, base: client.delete(base + "members:app/presence-x"),
    "member lost": lambda client, base: client.hdel(base + "members:app/presence-x", "u"),
    "member unreadable": lambda client, base: client.hset(base + "members:app/presence-x", "u", "x"),
    "member held by too many": lambda client, base: client.hset(base + "members:app/presence-x", "u", "7 info u"),
    "member held by too few": lambda client, base: client.hset(base + "members:app/presence-x", "u", "1 0 info u"),
    "ghost": lambda client, base: client.hset(base + "members:app/presence-x", "ghost", "1 0 boo"),
    "ghost unreadable": lambda client, base: client.hset(base + "members:app/presence-x", "ghost", "boo"),
    "fact lost": lambda client, base: client.hdel(base + "worker:a", "app/presence-x"),
    "facts lost": lambda client, base: client.delete(base + "worker:a", base + "worker-members:a"),
    "member fact lost": lambda client, base: client.hdel(base + "worker-members:a", "app/presence-x/u"),
    "fact too high": lambda client, base: client.hset(base + "worker:a", "app/presence-x", 50),
    "fact of nothing": lambda client, base: client.hset(base + "worker:a", "app/nowhere", 50),
    "member fact of nothing": lambda client, base: client.hset(base + "worker-members:a", "app/presence-x/w", 1),
    "wrong types": lambda client, base: client.mset({base + "channels:app": 1, base + "members:app/presence-x": 2}),
}


@pytest.mark.parametrize("tamper", TAMPERING)
async def test_audit_and_reconciler_bring_it_back_to_the_truth(redis_url: str, tamper: str) -> None:
    truth = {
        "a": [
            presence(2, MemberReport("u", 1, "info u", since_us=1), MemberReport("v", 1, "info v", since_us=1)),
            Report("app", "room", 3),
            Report("app", "#server-to-user-1", 1),
        ],
        "b": [presence(1, MemberReport("u", 1, "info u", since_us=1))],
    }

    async def state(store: RedisOccupancy) -> tuple[Any, ...]:
        return (
            await store.channels("app"),
            await store.members("app", "presence-x"),
            await store.counts("app", ["presence-x", "room", "#server-to-user-1", "nowhere"]),
        )

    async def reconcile(store: RedisOccupancy) -> None:
        """As the reporter does: tell again where one's own facts differ, and everything in a new epoch."""
        for name, reports in truth.items():
            facts = await held(store, name)
            wrong = {
                (report.app_id, report.channel): report
                for report in reports
                if facts.get((report.app_id, report.channel, None)) != report.count
                or any(facts.get((report.app_id, report.channel, m.user_id)) != m.count for m in report.members)
            }
            mine = {(report.app_id, report.channel): report for report in reports}
            for app_id, channel, user in facts:
                known = mine.get((app_id, channel))
                if known is None:
                    wrong[app_id, channel] = Report(app_id, channel, 0)
                elif user is not None and user not in {m.user_id for m in known.members}:
                    wrong[app_id, channel] = replace(known, members=(*known.members, MemberReport(user, 0)))
            epoch = store.epoch
            assert await store.heartbeat(name)
            await store.report(name, list(wrong.values()) if store.epoch == epoch else reports)

    async with opened(redis_url) as (cluster, store):
        await store.join("b")
        for name, reports in truth.items():
            await store.report(name, reports)
        before = await state(store)
        assert await store.acquire("b", 60_000)
        await TAMPERING[tamper](cluster.client, cluster.keys.base)
        for _ in range(2):
            # Steps of two, so that rounds end and begin within; more of them than a round needs.
            mended = sum([await store.audit("b", ["app"], everything, 2) for _ in range(20)])
            await reconcile(store)
        assert await state(store) == before
        assert mended == 0
        for name, reports in truth.items():
            await store.report(name, [replace(report, count=0, members=()) for report in reports])
        assert await state(store) == ({}, {}, [(0, 0)] * 4)


async def test_only_the_leader_audits(redis_url: str) -> None:
    async with opened(redis_url) as (cluster, store):
        await store.report("a", [Report("app", "room", 1)])
        await cluster.client.hset(cluster.keys.totals("app"), "room", 5)
        assert await store.audit("a", ["app"], everything, 100) == 0
        assert await store.channels("app") == {"room": 5}
        await store.acquire("a", 60_000)
        await store.audit("a", ["app"], everything, 100)
        await store.audit("a", ["app"], everything, 100)
        assert await store.channels("app") == {"room": 1}
