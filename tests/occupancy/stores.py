"""A Redis store of one worker, and what its tests report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.interfaces import Interest, MemberReport, OccupancyStore, Report
from engine.occupancy.redis import RedisOccupancy
from tests.occupancy.clusters import InRedis


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[InRedis, RedisOccupancy]]:
    cluster = InRedis(url)
    try:
        await cluster.listen()
        store = cluster.store()
        await store.join("a")
        yield cluster, store
    finally:
        await cluster.close()


def presence(count: int, *members: MemberReport, settle_ms: int = 0) -> Report:
    return Report("app", "presence-x", count, watched=True, members_watched=True, settle_ms=settle_ms, members=members)


def everything(app_id: str, channel: str) -> Interest:
    return Interest(True, True)


async def held(store: OccupancyStore, incarnation: str) -> dict[tuple[str, str, str | None], int]:
    """All pages of it."""
    facts: dict[tuple[str, str, str | None], int] = {}
    async for page in store.held(incarnation):
        facts.update(page)
    return facts
