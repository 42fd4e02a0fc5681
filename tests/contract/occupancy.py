"""What the contract tests of the occupancy drivers say in few words."""

from __future__ import annotations

from engine.interfaces import Interest, MemberReport, OccupancyStore, Report, Transition
from tests.occupancy.clusters import Cluster

LEASE_MS = 60_000
SETTLE_MS = 30_000


def plain(count: int, channel: str = "room", **more: object) -> Report:
    return Report("app", channel, count, **more)  # type: ignore[arg-type]


def watched(count: int, *members: MemberReport, settle_ms: int = SETTLE_MS, **more: object) -> Report:
    return plain(count, "presence-x", watched=True, members_watched=True, settle_ms=settle_ms, members=members, **more)


def everything(app_id: str, channel: str) -> Interest:
    return Interest(True, True, SETTLE_MS)


async def told(store: OccupancyStore) -> list[tuple[str, str]]:
    """(name, user) of what may be told now."""
    return [(t.name, t.user_id) for t in (await store.due(100)).transitions]


async def joined(cluster: Cluster, *names: str) -> OccupancyStore:
    store = cluster.store()
    for name in names:
        await store.join(name)
    return store


async def take_all(store: OccupancyStore, leader: str = "a") -> list[Transition]:
    await store.acquire(leader, LEASE_MS)
    taken = (await store.due(100)).transitions
    assert await store.commit(leader, taken, [])
    return list(taken)
