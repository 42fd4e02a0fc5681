"""What every driver promises about pages of channels and members (engine.interfaces.OccupancyPages)."""

from __future__ import annotations

import pytest

from engine.interfaces import MemberReport, OccupancyPages, Report
from engine.occupancy import memory_pages, redis_pages
from engine.protocol.channel import USER_PREFIX
from tests.contract.occupancy import joined
from tests.occupancy.clusters import Cluster, scenario


async def every_page(pages: OccupancyPages, prefix: str, limit: int) -> tuple[dict[str, int], list[int]]:
    """All rows, and how many rows each page had."""
    found: dict[str, int] = {}
    sizes, after = [], ""
    while True:
        page = await pages.channels("app", prefix, after, limit)
        assert len(page.rows) <= limit
        found |= dict(page.rows)
        sizes.append(len(page.rows))
        after = page.after
        if not after:
            return found, sizes


class TestPages:
    @scenario
    async def test_the_pages_together_are_all_channels(self, cluster: Cluster) -> None:
        store, pages = await joined(cluster, "a"), cluster.pages()
        assert (await pages.channels("app", "", "", 10)).rows == []
        for number in (7, 130, 2500):
            channels = {f"c-{n}": n + 1 for n in range(number)}
            await store.report("a", [Report("app", name, count) for name, count in channels.items()])
            found, sizes = await every_page(pages, "", 100)
            assert found == channels
            assert len(sizes) <= number // 100 + 2
            assert (await pages.channels("app", "", "", 100)).total == number

    @scenario
    async def test_a_prefix_is_taken_literally(self, cluster: Cluster) -> None:
        store, pages = await joined(cluster, "a"), cluster.pages()
        names = [f"room-{n}" for n in range(300)] + ["private-x", "a_b=c@d,e.f;g:h"]
        await store.report("a", [Report("app", name, 1) for name in names])
        assert (await every_page(pages, "room-", 7))[0].keys() == set(names[:300])
        assert (await every_page(pages, "a_b=c@d,e.f;", 7))[0].keys() == {names[-1]}
        for pattern in ("*", "?", "[r]", "room*", "\\r"):
            assert (await every_page(pages, pattern, 7))[0] == {}

    @scenario
    async def test_users_are_pages_of_their_own(self, cluster: Cluster) -> None:
        store, pages = await joined(cluster, "a"), cluster.pages()
        await store.report(
            "a", [Report("app", "room", 1), Report("app", f"{USER_PREFIX}ada", 2), Report("app", "#connections", 3)]
        )
        assert (await every_page(pages, "", 10))[0] == {"room": 1}
        assert (await every_page(pages, USER_PREFIX, 10))[0] == {f"{USER_PREFIX}ada": 2}
        assert await pages.counts("app", ["#connections", "room", "nowhere"]) == [(3, 0), (1, 0), (0, 0)]

    @scenario
    async def test_members_come_in_pages(self, cluster: Cluster) -> None:
        store, pages = await joined(cluster, "a"), cluster.pages()
        users = {f"user-{n}" for n in range(250)}
        members = tuple(MemberReport(user, 1, '{"name":"x y"}') for user in users)
        await store.report("a", [Report("app", "presence-x", 250, members=members)])
        found: list[str] = []
        after = ""
        while True:
            page = await pages.members("app", "presence-x", after, 100)
            assert len(page.rows) <= 100 and page.total == 250
            found += page.rows
            after = page.after
            if not after:
                break
        assert sorted(found) == sorted(users)
        assert (await pages.members("app", "presence-nowhere", "", 100)).rows == []

    @scenario
    async def test_one_page_looks_at_so_many_only(self, cluster: Cluster) -> None:
        """The last of many names is found, by several pages that may be empty."""
        store, pages = await joined(cluster, "a"), cluster.pages()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(redis_pages, "STEP", 20)
            patch.setattr(redis_pages, "MAX_STEPS", 2)
            patch.setattr(memory_pages, "MAX_LOOKED_AT", 40)
            await store.report("a", [Report("app", f"c-{n}", 1) for n in range(1000)] + [Report("app", "wanted", 1)])
            found, sizes = await every_page(pages, "wanted", 10)
        assert found == {"wanted": 1}
        assert len(sizes) > 5

    @scenario
    async def test_only_what_a_page_gave_is_a_place(self, cluster: Cluster) -> None:
        pages = cluster.pages()
        for after in ("x", "-1", "1.2.3", "9" * 30, "1. 2", "²"):
            with pytest.raises(ValueError, match="not where a page ended"):
                await pages.channels("app", "", after, 10)
            with pytest.raises(ValueError, match="not where a page ended"):
                await pages.members("app", "presence-x", after, 10)
