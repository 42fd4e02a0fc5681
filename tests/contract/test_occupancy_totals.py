"""What every occupancy driver tells of the number of a channel's subscriptions, to workers and to webhooks."""

from __future__ import annotations

from engine.interfaces import Interest, OccupancyStore, Report, TotalChange
from engine.protocol.channel import user_channel, watch_channel
from tests.contract.occupancy import joined, take_all
from tests.occupancy.clusters import Cluster, scenario

USER = user_channel("ada/1")


def user(count: int) -> Report:
    return Report("app", USER, count, announced=True)


def counted(count: int, **more: object) -> Report:
    return Report("app", "room", count, announced=True, counted=True, **more)  # type: ignore[arg-type]


def announced(app_id: str, channel: str) -> Interest:
    return Interest(announced=True, counted=True)


async def heard(cluster: Cluster) -> list[tuple[str, int]]:
    changes, _ = await cluster.heard()
    assert [c.version for c in changes] == sorted({c.version for c in changes})
    return [(c.channel, c.total) for c in changes if isinstance(c, TotalChange)]


async def numbers(store: OccupancyStore) -> list[str]:
    return [t.data for t in (await store.due(100)).transitions if t.name == "subscription_count"]


class TestUsers:
    @scenario
    async def test_only_coming_and_going_is_told(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        for name, count in (("a", 1), ("a", 3), ("b", 1), ("a", 0), ("b", 0)):
            await store.report(name, [user(count)])
        assert await heard(cluster) == [(watch_channel("ada/1"), 1), (watch_channel("ada/1"), 0)]

    @scenario
    async def test_other_server_owned_channels_and_other_apps_tell_nothing(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [Report("app", "#connections", 1, announced=True), Report("app", USER, 1)])
        assert await heard(cluster) == []

    @scenario
    async def test_a_dead_worker_takes_its_users_with_it(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        await store.report("a", [user(2)])
        await heard(cluster)
        await store.leave("a")
        assert await store.acquire("b", 60_000)
        assert await heard(cluster) == []
        while await store.purge("b", "a", announced, 10):
            pass
        assert await heard(cluster) == [(watch_channel("ada/1"), 0)]

    @scenario
    async def test_totals_have_the_version_of_their_moment(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        assert await store.totals("app", [USER]) == (0, [0])
        await store.report("a", [user(2)])
        version, totals = await store.totals("app", [user_channel("nobody"), USER])
        [change], _ = await cluster.heard()
        assert (change.version, totals) == (version, [0, 2])
        await store.report("a", [user(0)])
        [change], _ = await cluster.heard()
        assert change.version > version
        assert await store.totals("other", [USER]) == (change.version, [0])
        assert await store.totals("app", []) == (change.version, [])


class TestCounts:
    @scenario
    async def test_every_number_is_told_once(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a", "b")
        for name, count in (("a", 1), ("a", 1), ("b", 2), ("a", 0), ("b", 0)):
            await store.report(name, [counted(count)])
        assert await heard(cluster) == [("room", n) for n in (1, 3, 2, 0)]
        assert [(t.name, t.data) for t in await take_all(store)] == [("subscription_count", n) for n in "1320"]

    @scenario
    async def test_a_channel_is_occupied_before_it_is_counted(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [counted(1, watched=True)])
        await store.report("a", [counted(0, watched=True)])
        names = [t.name for t in await take_all(store)]
        assert names == ["channel_occupied", "subscription_count", "channel_vacated", "subscription_count"]

    @scenario
    async def test_large_numbers_are_told_at_most_every_five_seconds(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        for count in (100, 101, 250, 251):
            await store.report("a", [counted(count)])
        assert await numbers(store) == ["100"]
        await cluster.pass_ms(5_000)
        assert [t.data for t in await take_all(store)] == ["100", "251"], "the last number, and only that"
        await store.report("a", [counted(300)])
        assert await numbers(store) == []
        due = await store.due(100)
        assert due.next_due_in_ms is not None and 0 < due.next_due_in_ms <= 5_000
        await cluster.pass_ms(60_000)
        assert await numbers(store) == ["300"]
        await store.report("a", [counted(400)])
        assert await numbers(store) == ["300", "400"], "after a quiet time at once"

    @scenario
    async def test_a_small_number_replaces_a_large_one_that_waits(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        for count in (200, 201, 7):
            await store.report("a", [counted(count)])
        assert await numbers(store) == ["200", "7"]
        for count in (202, 0, 203):
            await store.report("a", [counted(count)])
        assert await numbers(store) == ["200", "7", "0", "203"], "an empty channel begins anew"

    @scenario
    async def test_nothing_is_kept_of_an_empty_channel(self, cluster: Cluster) -> None:
        store = await joined(cluster, "a")
        await store.report("a", [counted(3)])
        await store.report("a", [counted(0)])
        assert len(await take_all(store)) == 2
        assert (await store.due(1)).next_due_in_ms is None
