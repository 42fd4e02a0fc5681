"""Who came and went, as every occupancy driver keeps it: with the commit, in its order, or not at all."""

from __future__ import annotations

import orjson
import pytest

from engine.app import Retention
from engine.errors import StoreUnavailable
from engine.history import presence
from engine.interfaces import KeptChange, MemberReport, OccupancyStore, PageQuery, Transition
from tests.contract.occupancy import LEASE_MS, SETTLE_MS, joined, watched
from tests.occupancy.clusters import Cluster, InRedis, scenario
from tests.support.valkey import ValkeyServer

MUCH = Retention(count=100, window_ms=60_000, bytes=1 << 20)
CHANNEL = "presence-x"


def changes(due: list[Transition], retention: Retention = MUCH) -> list[KeptChange]:
    return [
        KeptChange(t.app_id, t.channel, retention, presence.payload_of(t)) for t in due if t.name.startswith("member_")
    ]


async def emit(store: OccupancyStore, retention: Retention = MUCH, leader: str = "a") -> bool:
    due = list((await store.due(100)).transitions)
    return await store.commit(leader, due, [], changes(due, retention))


async def kept(cluster: Cluster, channel: str = CHANNEL) -> list[tuple[str, str]]:
    """(event, user) of all that is kept, oldest first."""
    items = (await cluster.came_and_went().page("app", channel, MUCH, PageQuery(100, False))).items
    events = [orjson.loads(each.payload) for each in items]
    return [(event["event"], event["user_id"]) for event in events]


async def come_and_go(store: OccupancyStore, *users: str) -> None:
    for user in users:
        await store.report("a", [watched(1, MemberReport(user, 1, socket_id="1.1"), settle_ms=0)])
        await store.report("a", [watched(0, MemberReport(user, 0, socket_id="1.1"), settle_ms=0)])


class TestKept:
    @scenario
    async def test_what_is_committed_is_kept_in_its_order(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        await come_and_go(store, "u", "v")
        await store.report("a", [watched(1, MemberReport("w", 1), settle_ms=0)])
        assert await emit(store)
        expected = [(f"member_{what}", user) for user in "uv" for what in ("added", "removed")] + [
            ("member_added", "w")
        ]
        assert await kept(cluster) == expected
        stream = await cluster.came_and_went().inspect("app", CHANNEL, MUCH)
        assert (stream.serial, stream.first, stream.count) == (5, 1, 5)

    @scenario
    async def test_what_is_not_committed_is_not_kept(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.acquire("a", LEASE_MS)
        await come_and_go(store, "u")
        due = list((await store.due(100)).transitions)
        assert not await store.commit("b", due, [], changes(due))
        assert await kept(cluster) == []
        # Whoever leads next finds it as it was, and keeps it once, however often it asks.
        await store.release("a")
        await store.acquire("b", LEASE_MS)
        assert not await store.commit("a", due, [], changes(due))
        assert await store.commit("b", due, [], changes(due))
        assert not await store.commit("b", due, [], changes(due))
        assert await kept(cluster) == [("member_added", "u"), ("member_removed", "u")]

    @scenario
    async def test_a_return_while_a_departure_settles_is_neither(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        for count in (1, 0, 1, 0):
            await store.report("a", [watched(count, MemberReport("u", count), settle_ms=SETTLE_MS)])
            await emit(store)
        assert await kept(cluster) == [("member_added", "u")]
        await cluster.pass_ms(SETTLE_MS)
        assert await emit(store)
        assert await kept(cluster) == [("member_added", "u"), ("member_removed", "u")]

    @scenario
    async def test_the_bounds_hold_for_each_channel(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        await come_and_go(store, *"uvw")
        assert await emit(store, Retention(count=2, window_ms=60_000, bytes=1 << 20))
        assert await kept(cluster) == [("member_added", "w"), ("member_removed", "w")]
        stream = await cluster.came_and_went().inspect("app", CHANNEL, MUCH)
        assert (stream.serial, stream.first) == (6, 5)
        assert stream.gone_ms > 0
        assert await kept(cluster, "presence-y") == []

    @scenario
    async def test_a_reset_begins_another_stream(self, cluster: Cluster) -> None:
        store, history = await joined(cluster, "a"), cluster.came_and_went()
        await store.acquire("a", LEASE_MS)
        await come_and_go(store, "u")
        assert await emit(store)
        done = await history.reset("app", CHANNEL, MUCH)
        assert (done.count, done.stream.serial) == (2, 0)
        await come_and_go(store, "v")
        assert await emit(store)
        assert await kept(cluster) == [("member_added", "v"), ("member_removed", "v")]
        assert (await history.inspect("app", CHANNEL, MUCH)).id == done.stream.id != done.before


async def test_a_redis_that_was_replaced_is_told(redis_url: str) -> None:
    cluster = InRedis(redis_url)
    try:
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        cluster.life = "one"
        await come_and_go(store, "u")
        assert await emit(store)
        before = await cluster.came_and_went().inspect("app", CHANNEL, MUCH)
        cluster.life = "two"
        await come_and_go(store, "v")
        assert await emit(store)
        after = await cluster.came_and_went().inspect("app", CHANNEL, MUCH)
    finally:
        await cluster.close()
    assert (before.broken_ms, after.serial) == (0, 4)
    assert after.id != before.id
    assert after.broken_ms > after.now_ms, "for a moment some workers may still write to the old one"


async def test_a_full_redis_keeps_nothing_and_forgets_nothing() -> None:
    with ValkeyServer() as server:
        cluster = InRedis(server.url)
        store = await joined(cluster, "a")
        await store.acquire("a", LEASE_MS)
        await come_and_go(store, "u")
        await cluster.client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await emit(store)
        await cluster.client.config_set("maxmemory", 0)
        assert await kept(cluster) == []
        assert await emit(store)
        assert await kept(cluster) == [("member_added", "u"), ("member_removed", "u")]
        await cluster.close()
